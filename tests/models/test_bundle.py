import json
import shutil
from pathlib import Path

import pytest
import torch

from models.bundle import RELEASED, open_bundle, seal
from models.errors import BundleError
from models.runtime import Scorer
from tests.conftest import SmallRun


@pytest.fixture
def folder(small_run: SmallRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run.result.bundle.folder, tmp_path / "bundle"))


def test_a_bundle_holds_what_it_should_and_no_pickle(small_run: SmallRun) -> None:
    bundle = small_run.result.bundle
    assert {p.name for p in bundle.folder.iterdir()} == {*bundle.manifest.files, "manifest.json"}
    assert not [p for p in bundle.folder.iterdir() if p.suffix in (".bin", ".pt", ".pkl", ".pickle")]
    assert bundle.manifest.run_id
    assert bundle.manifest.taxonomy_version == bundle.taxonomy.version


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "heads.safetensors",
        "adapter.safetensors",
        "calibration.json",
        "taxonomy.yaml",
        "metrics.json",
        "MODEL_CARD.md",
    ],
)
def test_a_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match=f"{name} does not match"):
        open_bundle(folder)


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / "heads.safetensors").unlink()
    with pytest.raises(BundleError, match=r"heads\.safetensors is missing"):
        open_bundle(folder)


def test_a_manifest_that_leaves_a_file_out_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["calibration.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"does not list calibration\.json"):
        open_bundle(folder)


def test_a_manifest_cannot_point_outside_its_folder(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not a plain file name"):
        open_bundle(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', "\x00"])
def test_a_manifest_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match="manifest"):
        open_bundle(folder)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(tmp_path)


def test_a_bundle_for_another_tokenizer_is_refused(folder: Path, small_run: SmallRun) -> None:
    manifest = small_run.result.bundle.manifest
    facts = manifest.model_dump(exclude={"files", "base", "format"})
    other = manifest.base.model_copy(update={"tokenizer_sha256": "0" * 64})
    with pytest.raises(BundleError, match="tokenizer"):
        Scorer.of_bundle(seal(folder, base=other, **facts), small_run.settings)


def test_a_bundle_is_read_as_it_was_trained(folder: Path, small_run: SmallRun) -> None:
    """Format 2 blinds words of origin; a network of format 1 never saw that."""
    texts = ["A Ghanaian cleaner for our offices.", "A Romanian cleaner for our offices."]
    manifest = small_run.result.bundle.manifest
    facts = manifest.model_dump(exclude={"files", "base", "format"})
    now, then = (
        Scorer.of_bundle(seal(folder, base=manifest.base, format=number, **facts), small_run.settings).runner.run(texts)
        for number in (2, 1)
    )
    assert (now[0].logits == now[1].logits).all()
    assert (then[0].logits != then[1].logits).any()


def test_weights_of_another_network_are_refused(folder: Path, small_run: SmallRun) -> None:
    from safetensors.torch import save_file

    save_file({"attention.nonsense": torch.zeros(3)}, folder / "heads.safetensors")
    facts = small_run.result.bundle.manifest.model_dump(exclude={"files", "format"})
    with pytest.raises(BundleError, match="does not fit"):
        Scorer.of_bundle(seal(folder, **facts), small_run.settings)


def test_the_released_bundle_is_whole_and_small() -> None:
    bundle = open_bundle(RELEASED)
    assert sum(p.stat().st_size for p in RELEASED.iterdir()) <= 12_000_000
    assert set(bundle.metrics["languages"]) >= {"nl", "en", "de", "fr", "es", "ro"}
    for needed in ("authored", "synthetic", "no field data", "Not for", "macro-F1"):
        assert needed in bundle.card
