import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.bundle import RELEASED, Bundle, open_bundle, seal
from models.errors import BundleError
from training.averaging import write_mean
from training.provenance import AVERAGED, DIFFERS, RECALIBRATED, STARTED_FROM, read_how, write_how

Make = Callable[..., Bundle]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A copy of the released bundle with its heads moved, and told how it was trained."""

    def made(name: str, shift: float = 0, drop: str = "", **how: object) -> Bundle:
        folder = tmp_path / name
        shutil.copytree(RELEASED, folder)
        heads = load_file(folder / "heads.safetensors")
        save_file({key: value + shift for key, value in heads.items() if key != drop}, folder / "heads.safetensors")
        released = {name: value for name, value in read_how(folder).items() if name not in (AVERAGED, DIFFERS)}
        write_how({**released, STARTED_FROM: "the same", **how}, folder)
        facts = open_bundle(RELEASED).manifest
        return seal(folder, **{field: getattr(facts, field) for field in type(facts).model_fields if field != "files"})

    return made


def test_every_weight_is_the_mean_and_the_bundle_says_whose(make: Make, tmp_path: Path) -> None:
    bundles = [make("a", 0.0, seed=1), make("b", 3.0, seed=2)]
    write_mean(bundles, tmp_path / "mean")
    for name in ("heads.safetensors", "adapter.safetensors"):
        first, second, mean = (load_file(folder / name) for folder in (bundles[0].folder, bundles[1].folder, tmp_path / "mean"))
        assert set(first) == set(mean)
        for key in mean:
            assert torch.allclose(mean[key], (first[key] + second[key]) / 2)
    how = read_how(tmp_path / "mean")
    assert how[AVERAGED] == [str(bundle.identity) for bundle in bundles]
    assert (how["seed"], how[DIFFERS]) == (1, {"seed": [1, 2]})


def test_one_bundle_is_copied(make: Make, tmp_path: Path) -> None:
    one = make("a", **{STARTED_FROM: None})
    write_mean([one], tmp_path / "copy")
    for name in ("heads.safetensors", "adapter.safetensors", "config.json"):
        assert (one.folder / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()
    assert read_how(tmp_path / "copy") == {**read_how(one.folder), RECALIBRATED: str(one.identity)}


def test_the_mean_of_means_keeps_whose_each_was(make: Make, tmp_path: Path) -> None:
    bundles = [make(name, **{AVERAGED: [f"{name}1", f"{name}2"], RECALIBRATED: name}) for name in "ab"]
    write_mean(bundles, tmp_path / "mean")
    how = read_how(tmp_path / "mean")
    assert how[AVERAGED] == [str(bundle.identity) for bundle in bundles]
    assert RECALIBRATED not in how
    assert how[DIFFERS] == {AVERAGED: [["a1", "a2"], ["b1", "b2"]], RECALIBRATED: ["a", "b"]}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({STARTED_FROM: "another"}, "did not begin with the same weights"),
        ({"drop": "attention.bias"}, "do not fit one another"),
    ],
)
def test_bundles_of_different_makes_have_no_mean(make: Make, tmp_path: Path, other: dict[str, str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        write_mean([make("a"), make("b", **other)], tmp_path / "mean")


def test_bundles_that_began_afresh_have_no_mean(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="did not begin with the same weights"):
        write_mean([make("a", **{STARTED_FROM: None}), make("b", **{STARTED_FROM: None})], tmp_path / "mean")


def test_runs_that_differ_in_dropout_or_in_settings_that_are_not_set_are_of_one_make(make: Make, tmp_path: Path) -> None:
    one, other = make("a"), make("b")
    config = json.loads((other.folder / "config.json").read_text())
    (other.folder / "config.json").write_text(json.dumps({**config, "head_dropout": 0.3, "a_later_setting": None}))
    write_mean([one, other], tmp_path / "mean")
    (other.folder / "config.json").write_text(json.dumps({**config, "labels": config["labels"][1:]}))
    with pytest.raises(BundleError, match=r"differ in config\.json"):
        write_mean([one, other], tmp_path / "none")


def test_a_bundle_and_those_that_began_with_it_have_a_mean(make: Make, tmp_path: Path) -> None:
    root = make("root", 0.0, **{STARTED_FROM: None})
    child = make("child", 1.0, **{STARTED_FROM: str(root.identity)})
    others = [make(name, shift, **{STARTED_FROM: str(child.identity)}) for name, shift in (("a", 2.0), ("b", 5.0))]
    write_mean([*others, root, child], tmp_path / "mean")
    before, mean = (load_file(folder / "heads.safetensors") for folder in (root.folder, tmp_path / "mean"))
    for key in mean:
        assert torch.allclose(mean[key], before[key] + 2.0, atol=1e-5)
    with pytest.raises(BundleError, match="did not begin with the same weights"):
        write_mean([root, *others], tmp_path / "without the one between")


def test_where_transformers_found_a_network_is_not_of_its_make(make: Make, tmp_path: Path) -> None:
    one, other = make("a"), make("b")
    facts = json.loads((other.folder / "config.json").read_text())
    (other.folder / "config.json").write_text(json.dumps({**facts, "_name_or_path": "somewhere"}))
    write_mean([one, other], tmp_path / "mean")
    (other.folder / "config.json").write_text(json.dumps({**facts, "labels": []}))
    with pytest.raises(BundleError, match="different makes"):
        write_mean([one, other], tmp_path / "no mean")
