"""Both stores keep one contract, and every failure is one line with a way out."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from flexpose_ray.errors import StorageError
from flexpose_ray.storage import s3 as s3_module
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from tests.proxy import Answer, Dropped, Hook, Proxy, Request
from tests.radosgw import Radosgw


def test_put_get_list_exists_delete(store: Store):
    assert store.list() == [] and not store.exists("a/1") and not store.exists("a")
    store.put("a/2", b"two")
    store.put("a/1", b"one")
    store.put("ab", b"")
    store.put("a/1", b"ONE")
    assert store.get("a/1") == b"ONE" and store.get("ab") == b""
    assert store.list() == ["a/1", "a/2", "ab"]
    assert store.list("a/") == ["a/1", "a/2"] and store.list("a/2") == ["a/2"] and store.list("none/") == []
    store.delete("a/1")
    store.delete("a/1")
    assert store.list("a") == ["a/2", "ab"]


def test_a_missing_key_has_an_error_of_its_own(store: Store):
    with pytest.raises(MissingKeyError, match="shards/7") as error:
        store.get("shards/7")
    assert store.uri in str(error.value) and "\n" not in str(error.value)


def test_of_many_writers_one_wins(store: Store):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: store.put_if_absent("commit", b"%d" % i), range(16)))
    assert won.count(True) == 1
    assert store.get("commit") == b"%d" % won.index(True)
    assert store.list() == ["commit"]


def test_a_child_is_the_part_below(store: Store):
    store.child("runs/1").put("x", b"1")
    assert store.get("runs/1/x") == b"1"
    assert open_store(store.child("runs").uri).child("1").list() == ["x"]


def test_a_store_travels_between_processes_without_its_client(store: Store):
    store.put("x", b"1")
    assert pickle.loads(pickle.dumps(store)).get("x") == b"1"
    assert b"nothing" not in pickle.dumps(store), "the secret key"


@pytest.mark.slow
def test_listing_spans_pages(s3_uri: str):
    store = open_store(s3_uri)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store.put(f"k/{i:04d}", b""), range(1005)))
    assert len(store.list("k/")) == 1005


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../../b", "a//b", "./a", "a/"])
def test_a_key_never_leaves_the_store(store: Store, key: str):
    with pytest.raises(StorageError, match="plain relative key"):
        store.put(key, b"")


@pytest.mark.parametrize(
    "uri",
    [
        "", "gs://bucket/x", "https://host/bucket", "builtin:coco-adversarial", "s3:bucket", "s3://", "s3:///x", "s3://b/x",
        "s3://bucket/../x", "s3://bucket/x?endpoint_override=http://h", "s3://host:9000/bucket", "file://host/x",
    ],
)  # fmt: skip
def test_odd_addresses_are_refused(uri: str):
    with pytest.raises(StorageError) as error:
        open_store(uri)
    assert error.value.hint


@pytest.mark.parametrize(
    "uri", ["s3://key:secret@bucket/x", "s3://key:sec/ret@bucket", "https://key:secret@host/bucket"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(uri: str):
    with pytest.raises(StorageError) as error:
        open_store(uri)
    assert "sec" not in str(error.value) and "ret" not in str(error.value)


def test_a_folder_is_absolute_and_may_be_written_as_a_file_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_store("data").uri == str(tmp_path / "data")
    assert open_store(f"file://{tmp_path}/data").uri == str(tmp_path / "data")


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("x", b"old")

    def full(_: int):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for write in (store.put, store.put_if_absent):
        with pytest.raises(StorageError, match=r"No space left.*free some space"):
            write("x", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and store.get("x") == b"old"


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "taken").write_bytes(b"")
    for act in (lambda s: s.put("x", b""), lambda s: s.put("x/y", b""), lambda s: s.list(), lambda s: s.get("x")):
        with pytest.raises(StorageError, match="taken"):
            act(LocalStore(tmp_path / "taken"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="may write to"):
        LocalStore(tmp_path / "x").put("y", b"")


def test_a_file_being_written_is_not_listed(tmp_path):
    (tmp_path / ".tmp-abc").write_bytes(b"half")
    assert LocalStore(tmp_path).list() == []


def test_a_missing_bucket_is_named(s3_server):
    store = open_store("s3://no-such-bucket/x")
    for act in (lambda: store.get("k"), lambda: store.put("k", b""), lambda: store.exists("k"), lambda: store.list()):
        with pytest.raises(StorageError, match=r"s3://no-such-bucket/x.*no bucket 'no-such-bucket' at 127.0.0.1"):
            act()


def test_a_refused_endpoint_is_named_soon_and_without_its_password(s3_server, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(StorageError, match=f"no answer from 127.0.0.1:{port}.*AWS_ENDPOINT_URL") as error:
        open_store("s3://bucket/x", patience_s=0.5).list()
    assert "secret" not in str(error.value)


def test_an_endpoint_that_is_no_url(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no url")
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL is not a valid URL"):
        open_store("s3://bucket/x").list()


def test_missing_credentials(s3_server, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"no complete credentials.*AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x").list()


def test_a_listing_goes_on_where_a_page_failed(s3_uri: str, s3_server: str, monkeypatch):
    class FirstTry(Hook):
        asked, failed = 0, set()

        def before(self, request: Request) -> None:
            if request.query not in self.failed:
                self.failed.add(request.query)
                raise Answer(503, "SlowDown")
            self.asked += 1

    store = open_store(s3_uri)
    for i in range(5):
        store.put(f"k/{i}", b"")
    with Proxy(s3_server).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        behind = open_store(s3_uri)
        list_all = behind.client.list_objects_v2
        monkeypatch.setattr(behind.client, "list_objects_v2", lambda **at: list_all(**at, MaxKeys=2))
        proxy.hook = failing = FirstTry()
        assert list(behind.iter_keys("k/")) == [f"k/{i}" for i in range(5)]
    assert failing.asked == len(failing.failed) == 3, "a page was read twice"


def test_an_answer_that_breaks_off_is_asked_for_again(s3_uri: str, s3_server: str, monkeypatch):
    class Halving(Hook):
        calls = 0

        def body(self, request: Request, data: bytes) -> bytes:
            self.calls += 1
            return data[: len(data) // 2] if self.calls == 1 else data

    open_store(s3_uri).put("k", b"1")
    with Proxy(s3_server).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.hook = halving = Halving()
        assert open_store(s3_uri).list() == ["k"] and halving.calls == 2


def test_a_server_that_says_nothing_counts_as_away(s3_uri: str, s3_server: str, monkeypatch):
    class Silence(Hook):
        calls, done = 0, threading.Event()

        def before(self, request: Request) -> None:
            self.calls += 1
            if self.calls == 1:
                assert self.done.wait(60), "the client still waits"
                raise Dropped

    monkeypatch.setattr(s3_module, "READ_S", 0.5)
    with Proxy(s3_server).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.hook = silence = Silence()
        open_store(s3_uri).put("k", b"1")
        silence.done.set()
        assert silence.calls == 2
        assert open_store(s3_uri).get("k") == b"1"


class Answers:
    """An S3 client whose put answers as told, then succeeds."""

    class meta:
        endpoint_url = "http://here:1"

    def __init__(self, *answers: tuple[int, str]):
        self.answers, self.calls = list(answers), 0

    def put_object(self, **_):
        self.calls += 1
        if self.answers:
            status, code = self.answers.pop(0)
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


def _s3_store(client: Answers) -> s3_module.S3Store:
    store = s3_module.S3Store("bucket", "x", patience_s=5)
    store._client_of = os.getpid(), client
    return store


def test_a_failure_that_passes_is_tried_again():
    client = Answers((503, "SlowDown"), (409, "ConditionalRequestConflict"), (500, "InternalError"))
    assert _s3_store(client).put_if_absent("k", b"")
    assert client.calls == 4


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "SignatureDoesNotMatch"), "credentials refused"),
        ((403, "AccessDenied"), "access denied"),
        ((507, "InsufficientStorage"), "no space left"),
        ((403, "QuotaExceeded"), "no space left"),
        ((501, "NotImplemented"), "answered 501 NotImplemented"),
    ],
)
def test_a_failure_that_stays_is_not(answer: tuple[int, str], told: str):
    client = Answers(answer)
    with pytest.raises(StorageError, match=f"s3://bucket/x/k: .*{told}"):
        _s3_store(client).put("k", b"")
    assert client.calls == 1


def test_a_server_without_conditional_writes_is_told_as_such():
    with pytest.raises(StorageError, match=r"s3://bucket/x: .*no conditional writes.*or a folder"):
        _s3_store(Answers((501, "NotImplemented"))).put_if_absent("k", b"")


@pytest.mark.slow
def test_a_full_bucket_of_a_real_server(radosgw: Radosgw, radosgw_uri: str):
    store = open_store(radosgw_uri)
    radosgw.limit(store.bucket, objects=1)
    store.put("k", b"1")
    with pytest.raises(StorageError, match=r"no space left.*free some space"):
        for i in range(100):  # the server counts now and then
            store.put(f"more/{i}", b"1")


def test_patience_ends():
    client = Answers(*[(503, "SlowDown")] * 100)
    store = _s3_store(client)
    store.patience_s = 0.3
    with pytest.raises(StorageError, match="503 SlowDown"):
        store.put("k", b"")
    assert client.calls < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_place_where_no_folder_can_be_made_is_told_as_such():
    with pytest.raises(StorageError, match=r"/proc/nowhere: cannot be made .*another folder"):
        open_store("/proc/nowhere").put("key", b"data")
