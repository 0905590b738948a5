import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.bundle import RELEASED, Bundle, open_bundle, seal
from models.errors import BundleError
from training.averaging import AVERAGED, write_mean
from training.fitting import STARTED_FROM, TRAINING_FILE

Make = Callable[..., Bundle]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A copy of the released bundle with its heads moved, and told how it was trained."""

    def made(name: str, shift: float = 0, drop: str = "", **how: object) -> Bundle:
        folder = tmp_path / name
        shutil.copytree(RELEASED, folder)
        heads = load_file(folder / "heads.safetensors")
        save_file({key: value + shift for key, value in heads.items() if key != drop}, folder / "heads.safetensors")
        trained = json.loads((folder / TRAINING_FILE).read_text()) | {STARTED_FROM: "the same"} | how
        (folder / TRAINING_FILE).write_text(json.dumps(trained))
        facts = open_bundle(RELEASED).manifest
        return seal(folder, **{field: getattr(facts, field) for field in type(facts).model_fields if field != "files"})

    return made


def test_every_weight_is_the_mean_and_the_bundle_says_whose(make: Make, tmp_path: Path) -> None:
    bundles = [make("a", 0.0), make("b", 3.0)]
    write_mean(bundles, tmp_path / "mean")
    for name in ("heads.safetensors", "adapter.safetensors"):
        first, second, mean = (load_file(folder / name) for folder in (bundles[0].folder, bundles[1].folder, tmp_path / "mean"))
        assert set(first) == set(mean)
        for key in mean:
            assert torch.allclose(mean[key], (first[key] + second[key]) / 2)
    assert json.loads((tmp_path / "mean" / TRAINING_FILE).read_text())[AVERAGED] == [str(bundle.identity) for bundle in bundles]


def test_one_bundle_is_copied(make: Make, tmp_path: Path) -> None:
    one = make("a", **{STARTED_FROM: None})
    write_mean([one], tmp_path / "copy")
    for name in ("heads.safetensors", "adapter.safetensors", "config.json"):
        assert (one.folder / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()
    assert AVERAGED not in json.loads((tmp_path / "copy" / TRAINING_FILE).read_text())


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
