"""Models on storage: whole or refused, replaced at once, the same digest everywhere."""

import json

import pytest
import torch

from flexpose_ray.errors import ConfigError, StorageError, WeightsError
from flexpose_ray.models import shipped
from flexpose_ray.models.weights import load_into, load_tensors, read_model, resolve, write_model
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store

CONFIG = {"size": 16, "layers": [1, 3], "width": 1 / 32}
CARD = {"fd": 0.05, "source": "somewhere"}


def tensors(value=1.0):
    strided = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    return {"b.weight": strided * value, "a.count": torch.tensor(7), "a.half": torch.ones(2, dtype=torch.bfloat16)}


def head_of(uri):
    return json.loads(open_store(uri).get("model.json"))


def change_head(uri, **changes):
    open_store(uri).put("model.json", json.dumps({**head_of(uri), **changes}).encode())


def test_a_model_comes_back_as_it_was(store: Store):
    digest = write_model(store.uri, "adapted", CONFIG, tensors(), CARD)
    model = read_model(store.uri)
    assert (model.kind, model.config, model.card, model.digest) == ("adapted", CONFIG, CARD, digest)
    assert model.tensors.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert torch.equal(model.tensors[name], tensor)
        assert model.tensors[name].dtype == tensor.dtype


def test_the_digest_is_of_kind_config_and_tensors_but_not_of_the_card(tmp_path):
    def digest(kind="generator", config=CONFIG, value=1.0, card=CARD):
        return write_model(str(tmp_path / "model"), kind, config, tensors(value), card)

    first = digest()
    assert digest(card={}) == first
    assert digest(config=dict(reversed(CONFIG.items()))) == first
    assert len({first, digest("adapted"), digest(config={**CONFIG, "size": 32}), digest(value=2.0)}) == 4


def test_the_order_of_tensors_and_their_memory_do_not_count(tmp_path):
    one = write_model(str(tmp_path / "1"), "generator", CONFIG, tensors(), CARD)
    shuffled = {name: t.contiguous() for name, t in reversed(tensors().items())}
    assert write_model(str(tmp_path / "2"), "generator", CONFIG, shuffled, CARD) == one


# ----- replacing


def test_a_new_model_replaces_the_old_one_and_leaves_nothing_of_it(store: Store):
    write_model(store.uri, "generator", CONFIG, tensors(), CARD)
    write_model(store.uri, "generator", CONFIG, tensors(2.0), CARD)
    assert torch.equal(read_model(store.uri).tensors["b.weight"], tensors(2.0)["b.weight"])
    assert store.list() == sorted([head_of(store.uri)["tensors"], "model.json"])


def test_the_same_model_again_only_renews_the_card(store: Store):
    write_model(store.uri, "generator", CONFIG, tensors(), CARD)
    write_model(store.uri, "generator", CONFIG, tensors(), {"fd": 0.01})
    assert read_model(store.uri).card == {"fd": 0.01}
    assert len(store.list()) == 2


def test_a_writer_that_dies_between_both_files_leaves_the_old_model(tmp_path, monkeypatch):
    uri = str(tmp_path / "model")
    old = write_model(uri, "generator", CONFIG, tensors(), CARD)

    def die_at_head(self, key, data):
        if key == "model.json":
            raise KeyboardInterrupt
        return put(self, key, data)

    put = LocalStore.put
    monkeypatch.setattr(LocalStore, "put", die_at_head)
    with pytest.raises(KeyboardInterrupt):
        write_model(uri, "generator", CONFIG, tensors(2.0), CARD)
    monkeypatch.undo()
    assert len(open_store(uri).list()) == 3  # the tensors of the new one are there already
    assert read_model(uri).digest == old
    assert torch.equal(read_model(uri).tensors["b.weight"], tensors()["b.weight"])
    new = write_model(uri, "generator", CONFIG, tensors(2.0), CARD)  # and the next attempt succeeds
    assert read_model(uri).digest == new != old


def test_a_writer_that_dies_before_cleaning_up_leaves_the_new_model(tmp_path, monkeypatch):
    uri = str(tmp_path / "model")
    write_model(uri, "generator", CONFIG, tensors(), CARD)
    monkeypatch.setattr(LocalStore, "delete", lambda self, key: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_model(uri, "generator", CONFIG, tensors(2.0), CARD)
    monkeypatch.undo()
    assert torch.equal(read_model(uri).tensors["b.weight"], tensors(2.0)["b.weight"])


def test_a_reader_whose_model_is_replaced_meanwhile_gets_the_new_one(tmp_path, monkeypatch):
    uri = str(tmp_path / "model")
    write_model(uri, "generator", CONFIG, tensors(), CARD)
    get, replaced = LocalStore.get, []

    def replace_before_tensors(self, key):
        if key != "model.json" and not replaced:
            replaced.append(write_model(uri, "generator", CONFIG, tensors(2.0), CARD))
        return get(self, key)

    monkeypatch.setattr(LocalStore, "get", replace_before_tensors)
    assert read_model(uri).digest == replaced[0]


# ----- refusing


def test_nothing_there_is_said(store: Store):
    with pytest.raises(WeightsError, match=r"no model here.*pretrain or adapt"):
        read_model(store.uri)


def test_another_kind_is_refused(tmp_path):
    write_model(str(tmp_path), "adapted", CONFIG, tensors(), CARD)
    assert read_model(str(tmp_path), "adapted").kind == "adapted"
    with pytest.raises(WeightsError, match="holds adapted weights where generator ones are needed"):
        read_model(str(tmp_path), "generator")


def test_a_newer_format_is_refused(tmp_path):
    write_model(str(tmp_path), "adapted", CONFIG, tensors(), CARD)
    change_head(tmp_path, format=2)
    with pytest.raises(WeightsError, match=r"format 2, this version reads 1.*upgrade"):
        read_model(str(tmp_path))


def test_damaged_or_missing_tensors_are_refused(store: Store):
    write_model(store.uri, "generator", CONFIG, tensors(), CARD)
    name = head_of(store.uri)["tensors"]
    data = bytearray(store.get(name))
    data[-1] ^= 1
    for damaged in (bytes(data), bytes(data[:-8]), b""):
        store.put(name, damaged)
        with pytest.raises(WeightsError, match=f"{name} is damaged"):
            read_model(store.uri)
    store.delete(name)
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        read_model(store.uri)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"format": 1}'])
def test_a_broken_head_is_refused(tmp_path, text):
    write_model(str(tmp_path), "generator", CONFIG, tensors(), CARD)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(WeightsError, match=r"model\.json is (broken|damaged)"):
        read_model(str(tmp_path))


@pytest.mark.parametrize("key", ["kind", "config", "digest"])
def test_a_head_that_was_changed_is_refused(tmp_path, key):
    write_model(str(tmp_path), "generator", CONFIG, tensors(), CARD)
    change_head(tmp_path, **{key: {"size": 32} if key == "config" else "other"})
    with pytest.raises(WeightsError, match=r"model\.json is damaged: its digest differs"):
        read_model(str(tmp_path))


def test_storage_that_refuses_is_said_as_such(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        write_model(str(tmp_path / "file"), "generator", CONFIG, tensors(), CARD)


def test_bytes_that_are_no_safetensors_are_refused():
    for data in (b"", b"PK\x03\x04 a pickle in a zip", b"\xff" * 40):
        with pytest.raises(WeightsError, match="there: not a safetensors file"):
            load_tensors(data, "there")


# ----- shipped ones, and networks


def test_an_unknown_shipped_generator_is_refused_with_the_known_ones(tmp_path, monkeypatch):
    (tmp_path / "weights" / "some").mkdir(parents=True)
    (tmp_path / "weights" / "some" / "model.json").write_text("{}")
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    assert resolve("builtin:some") == str(tmp_path / "weights" / "some")
    for name in ("other", "", "..", "some/../some"):
        with pytest.raises(ConfigError, match=r"no such shipped generator \(choose one of some\)"):
            read_model(f"builtin:{name}")
    assert resolve("s3://bucket/some") == "s3://bucket/some"


def test_tensors_are_copied_into_the_part_they_belong_to():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    named = {f"{part}.{k}": v for part, net in (("a", one), ("ab", other)) for k, v in net.state_dict().items()}
    target = torch.nn.Linear(3, 2)
    load_into(target, named, "a", "there")
    assert torch.equal(target.weight, one.weight)


@pytest.mark.parametrize("change", [
    lambda t: t.pop("a.bias"),
    lambda t: t.update({"a.more": torch.zeros(1)}),
    lambda t: t.update({"a.weight": torch.zeros(9, 9)}),
])  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(change):
    named = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    change(named)
    with pytest.raises(WeightsError, match="there: the a does not fit its config"):
        load_into(torch.nn.Linear(3, 2), named, "a", "there")
