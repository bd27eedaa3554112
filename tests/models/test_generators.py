"""Networks to storage and back: the same samples, and errors where a base is gone or another one."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from flexpose_ray.errors import WeightsError
from flexpose_ray.models.generators import copy_model, load_generator, load_sampler, save_adapted, save_generator
from flexpose_ray.models.weights import read_model, write_model
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

INDICES = np.arange(10)
POSES_NJ2 = np.random.default_rng(0).random((50, 15, 2), np.float32)
SOURCE, LIMITS, SHOTS = moments(POSES_NJ2), PoseLimits.of(POSES_NJ2, BODY_15), POSES_NJ2[:12]


def networks(seed=0, channels=3) -> Networks:
    torch.manual_seed(seed)
    beta = Beta(channels=channels, width=4)
    beta(torch.randn(4, channels, 16, 16))  # so that its running statistics are not those of the start
    shared = dict(channels=channels, base=64, most=16)
    generator = Generator(16, z_size=16, w_size=24, depth=2, **shared)
    generator.mapping.w_mean.fill_(0.5)
    alpha = Alpha(size=16, channels=channels, width=0.05)
    return Networks(generator, Discriminator(16, **shared), beta, alpha, SOURCE)


def saved(uri, seed=0):
    return save_generator(str(uri), networks(seed), LIMITS, {"fd": 0.1})


def adapted(uri, base_uri, base_digest):
    transfer = Transfer.for_generator(networks().generator, (1, 3), bias=True)
    transfer.maps["1"].bias.data.fill_(1.0)
    return save_adapted(str(uri), str(base_uri), base_digest, transfer, SHOTS, {"shots": 12}), transfer


@pytest.mark.parametrize("channels", [1, 3])
def test_a_generator_comes_back_with_all_its_parts(store: Store, channels):
    parts = networks(channels=channels)
    digest = save_generator(store.uri, parts, LIMITS, {"fd": 0.1})
    back = load_generator(store.uri)
    assert (back.digest, back.card, back.alpha) == (digest, {"fd": 0.1}, parts.alpha)
    for name in ("generator", "discriminator", "beta"):
        ours, theirs = getattr(back, name), getattr(parts, name)
        assert ours.config == theirs.config
        state = theirs.state_dict()
        assert ours.state_dict().keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items())
    assert not back.beta.training
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(back.source, SOURCE, strict=True))


def test_samples_of_a_stored_generator_are_those_of_the_networks(tmp_path):
    digest = saved(tmp_path / "base")
    made = networks()
    sampler = load_sampler(str(tmp_path / "base"), batch=4)
    assert (sampler.digest, sampler.batch, sampler.transfer) == (digest, 4, None)
    wanted = StyleGanSampler(made.generator, made.beta, made.alpha, batch=4).sample(5, INDICES)
    np.testing.assert_array_equal(sampler.sample(5, INDICES)[0], wanted[0])


def test_an_adapted_model_is_tau_alone_and_samples_through_its_base(store: Store, tmp_path):
    base_digest = saved(tmp_path / "base")
    digest, transfer = adapted(store.uri, tmp_path / "base", base_digest)
    assert sum(len(store.get(key)) for key in store.list()) < 20_000
    sampler = load_sampler(store.uri)
    assert sampler.digest == digest != base_digest
    made = networks()
    wanted, _ = StyleGanSampler(made.generator, made.beta, made.alpha, transfer).sample(5, INDICES)
    np.testing.assert_array_equal(sampler.sample(5, INDICES)[0], wanted)
    assert np.abs(load_sampler(str(tmp_path / "base")).sample(5, INDICES)[0] - wanted).max() > 1e-4


def test_an_adapted_model_whose_base_is_another_now_is_refused(tmp_path):
    adapted(tmp_path / "adapted", tmp_path / "base", saved(tmp_path / "base"))
    saved(tmp_path / "base", seed=1)
    with pytest.raises(WeightsError, match=r"was adapted from another generator than the one at .*base"):
        load_sampler(str(tmp_path / "adapted"))


def test_an_adapted_model_whose_base_is_gone_is_refused(tmp_path):
    adapted(tmp_path / "adapted", tmp_path / "base", saved(tmp_path / "base"))
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(WeightsError, match="base: no model here"):
        load_sampler(str(tmp_path / "adapted"))


def test_an_adapted_model_is_no_generator(tmp_path):
    adapted(tmp_path / "adapted", tmp_path / "base", saved(tmp_path / "base"))
    with pytest.raises(WeightsError, match="holds adapted weights where generator ones are needed"):
        load_generator(str(tmp_path / "adapted"))


def test_tensors_that_do_not_fit_the_config_are_refused(tmp_path):
    made = networks()
    parts = {"generator": made.generator, "discriminator": made.discriminator, "beta": made.beta}
    config = {name: part.config for name, part in parts.items()} | {"alpha": made.alpha.config}
    config["generator"] = {**made.generator.config, "base": 32}
    tensors = {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()}
    write_model(str(tmp_path), "generator", config, tensors, {})
    with pytest.raises(WeightsError, match="the generator does not fit its config"):
        load_generator(str(tmp_path))


def test_a_generator_without_the_source_s_moments_is_refused(tmp_path):
    saved(tmp_path)
    model = read_model(str(tmp_path))
    tensors = {name: t for name, t in model.tensors.items() if not name.startswith("source.")}
    write_model(str(tmp_path), "generator", model.config, tensors, {})
    with pytest.raises(WeightsError, match=r"source\.mean is missing"):
        load_generator(str(tmp_path))


def test_the_digest_depends_on_every_part(tmp_path):
    digests = {saved(tmp_path / "a")}
    for changed in ("generator", "discriminator", "beta"):
        parts = networks()
        next(getattr(parts, changed).parameters()).data += 1
        digests.add(save_generator(str(tmp_path / "b"), parts, LIMITS, {}))
    for changes in ({"alpha": Alpha(size=16, width=0.06)}, {"source": (SOURCE[0] + 1, SOURCE[1])}):
        digests.add(save_generator(str(tmp_path / "c"), replace(networks(), **changes), LIMITS, {}))
    digests.add(save_generator(str(tmp_path / "c"), networks(), LIMITS.widened(POSES_NJ2 * 2), {}))
    assert len(digests) == 7


def test_what_is_written_is_safetensors_and_json_only(tmp_path):
    saved(tmp_path / "base")
    names = sorted(p.name for p in (tmp_path / "base").iterdir())
    assert names[1] == "model.json"
    assert names[0].endswith(".safetensors")
    assert len(names) == 2
    assert json.loads(open_store(tmp_path / "base").get("model.json"))["format"] == 1


# ----- what the gate needs


def test_limits_and_shots_travel_with_the_models(store: Store, tmp_path):
    base_digest = saved(tmp_path / "base")
    adapted(store.uri, tmp_path / "base", base_digest)
    for sampler, shots_SJ2 in ((load_sampler(str(tmp_path / "base")), None), (load_sampler(store.uri), SHOTS)):
        np.testing.assert_array_equal(sampler.limits.lengths_F2, LIMITS.lengths_F2)
        np.testing.assert_array_equal(sampler.limits.angles_PB, LIMITS.angles_PB)
        np.testing.assert_array_equal(sampler.shots_SJ2, shots_SJ2)


def test_models_of_a_version_without_them_are_refused(tmp_path):
    uri = str(tmp_path / "base")
    adapted(tmp_path / "adapted", uri, saved(uri))
    model = read_model(str(tmp_path / "adapted"))
    transfer = {name: t for name, t in model.tensors.items() if name != "gate.shots"}
    write_model(str(tmp_path / "adapted"), "adapted", model.config, transfer, model.card)
    with pytest.raises(WeightsError, match=r"gate\.shots is missing \(adapt again"):
        load_sampler(str(tmp_path / "adapted"))
    model = read_model(uri)
    tensors = {name: t for name, t in model.tensors.items() if name != "gate.lengths"}
    write_model(uri, "generator", model.config, tensors, {})
    with pytest.raises(WeightsError, match=r"gate\.lengths is missing \(.*pretrain again"):
        load_generator(uri)


# ----- copies


def model_of(kind, folder):
    """URI of a model of that kind, and what its samples are."""
    digest = saved(folder / "base")
    if kind == "adapted":
        adapted(folder / "adapted", folder / "base", digest)
        return str(folder / "adapted")
    return str(folder / "base")


def contents(store):
    return {key: store.get(key) for key in store.list()}


@pytest.mark.parametrize("kind", ["generator", "adapted"])
def test_a_copy_needs_nothing_else_and_is_the_same_model(kind, store: Store, tmp_path):
    uri = model_of(kind, tmp_path / "made")
    original = load_sampler(uri)
    wanted, _ = original.sample(5, INDICES)
    assert copy_model(uri, store) == original.digest
    shutil.rmtree(tmp_path / "made")
    copy = load_sampler(store.uri)
    assert copy.digest == original.digest
    np.testing.assert_array_equal(copy.sample(5, INDICES)[0], wanted)
    np.testing.assert_array_equal(copy.shots_SJ2, original.shots_SJ2)
    assert len(store.list()) == (4 if kind == "adapted" else 2)


@pytest.mark.parametrize("kind", ["generator", "adapted"])
def test_a_second_copy_writes_nothing(kind, store: Store, tmp_path, monkeypatch):
    uri = model_of(kind, tmp_path / "made")
    digest = copy_model(uri, store)
    before = contents(store)

    def refuse(self, key, data):
        raise AssertionError(f"{key} was written again")

    monkeypatch.setattr(type(store), "put", refuse)
    assert copy_model(uri, store) == digest
    assert contents(store) == before


@pytest.mark.parametrize("kind", ["generator", "adapted"])
def test_copies_are_the_same_bytes_wherever_they_lie_and_of_what(kind, tmp_path):
    uri = model_of(kind, tmp_path / "made")
    stores = [open_store(tmp_path / name) for name in ("one", "two", "copy of a copy")]
    for store, of in zip(stores, (uri, uri, stores[0].uri), strict=True):
        copy_model(of, store)
    assert contents(stores[0]) == contents(stores[1]) == contents(stores[2])
    assert str(tmp_path).encode() not in b"".join(contents(stores[0]).values())


def test_a_copy_that_has_moved_still_loads(tmp_path):
    uri = model_of("adapted", tmp_path / "made")
    wanted, _ = load_sampler(uri).sample(5, INDICES)
    copy_model(uri, open_store(tmp_path / "here" / "model"))
    shutil.rmtree(tmp_path / "made")
    shutil.move(tmp_path / "here", tmp_path / "there")
    np.testing.assert_array_equal(load_sampler(str(tmp_path / "there" / "model")).sample(5, INDICES)[0], wanted)


@pytest.mark.parametrize("lost", ["model.json", "base/model.json", ".safetensors"])
def test_a_copy_that_lost_a_part_is_made_whole(lost, store: Store, tmp_path):
    uri = model_of("adapted", tmp_path / "made")
    digest = copy_model(uri, store)
    before = contents(store)
    store.delete(next(key for key in before if key.endswith(lost)))
    assert copy_model(uri, store) == digest
    assert contents(store) == before


def test_another_model_is_not_copied_over(store: Store, tmp_path):
    copy_model(model_of("generator", tmp_path / "made"), store)
    before = contents(store)
    saved(tmp_path / "other", seed=1)
    with pytest.raises(WeightsError, match=r"holds another model than .*other \(delete that folder"):
        copy_model(str(tmp_path / "other"), store)
    assert contents(store) == before


def test_an_adapted_model_is_not_copied_with_another_base(store: Store, tmp_path):
    uri = model_of("adapted", tmp_path / "made")
    saved(tmp_path / "made" / "base", seed=1)
    with pytest.raises(WeightsError, match="was adapted from another generator"):
        copy_model(uri, store)
    assert store.list() == []
