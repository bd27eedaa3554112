"""Fetching, from a server of the test's own."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources import fetch as fetching
from flexpose_ray.sources.fetch import PUBLISHED, fetch, where_to_get

MEMBERS = PUBLISHED["coco"].members


class Server:
    """Serves one archive, in parts where it is asked to, and may cut an answer off."""

    def __init__(self, content: bytes):
        self.content, self.asked, self.most = content, [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                outer.asked.append(start)
                body = outer.content[start:]
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: outer.most])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/annotations_trainval2017.zip"


@pytest.fixture
def server(monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member in (*MEMBERS, "annotations/captions.json"):
            archive.writestr(member, member * 1000)
    served = Server(packed.getvalue())
    sha1 = hashlib.sha1(served.content, usedforsecurity=False).hexdigest()
    entry = replace(PUBLISHED["coco"], url=served.url, sha1=sha1, size=len(served.content))
    monkeypatch.setitem(fetching.PUBLISHED, "coco", entry)
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_an_archive_is_fetched_checked_and_unpacked_once(server, tmp_path):
    files = fetch("coco", tmp_path, lambda done, total: None)
    assert [str(file.relative_to(tmp_path)) for file in files] == list(MEMBERS)
    assert [file.read_text() for file in files] == [member * 1000 for member in MEMBERS]
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "annotations" / "captions.json").exists()
    assert fetch("coco", tmp_path, lambda done, total: None) == files and server.asked == [0]


def test_a_download_that_was_cut_off_is_continued(server, tmp_path):
    server.most = 500
    with pytest.raises(DataError, match="run the command again"):
        fetch("coco", tmp_path, lambda done, total: None)
    server.most = None
    fetch("coco", tmp_path, lambda done, total: None)
    assert server.asked == [0, 500]


def test_another_file_than_was_published_is_refused_and_fetched_anew(server, tmp_path):
    whole = server.content
    server.content = bytes(len(whole))
    with pytest.raises(DataError, match="not the published file"):
        fetch("coco", tmp_path, lambda done, total: None)
    assert not list(tmp_path.iterdir())
    server.content = whole
    assert len(fetch("coco", tmp_path, lambda done, total: None)) == 2


def test_no_server_is_one_line(server, tmp_path):
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(DataError, match=r"cannot be fetched: .*put the file to"):
        fetch("coco", tmp_path, lambda done, total: None)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_set_says_where_it_is(name):
    assert PUBLISHED[name].page in where_to_get(name) and "\n" not in where_to_get(name)


def test_what_must_be_asked_for_is_not_fetched(tmp_path):
    with pytest.raises(ConfigError, match=r"its publisher gives it on request.*vision\.imar\.ro"):
        fetch("h36m", tmp_path, lambda done, total: None)
    with pytest.raises(ConfigError, match="unknown data set 'imagenet'"):
        fetch("imagenet", tmp_path, lambda done, total: None)
