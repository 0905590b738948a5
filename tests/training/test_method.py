"""What each method trains, and that what it saves is what it trained."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.base import DEFAULT_BASE, sha256_of
from models.bundle import BaseReference
from models.errors import BundleError
from models.network import SignaalModel, merged
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from models.weights import load_weights, save_weights
from tests.conftest import SmallRun
from training.settings import TrainingSettings
from training.trainer import build_model

IDS = torch.tensor([[0, 581, 1099, 2]])


def build(base_folder: Path, **settings: object) -> SignaalModel:
    return build_model(base_folder, packaged_taxonomy(), TrainingSettings(layers=2, **settings), ModelSettings())  # type: ignore[arg-type]


def logits(model: SignaalModel) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS, torch.ones_like(IDS)).logits


def trained(model: SignaalModel) -> set[str]:
    """Parts of the network that learn."""
    return {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.fixture
def reference(base_folder: Path) -> BaseReference:
    return BaseReference(name=DEFAULT_BASE, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=2)


def test_each_method_trains_what_it_says(base_folder: Path) -> None:
    heads = {"attention", "document_type"}
    assert trained(build(base_folder, method="head")) == heads
    assert trained(build(base_folder, method="lora")) == trained(build(base_folder, method="full")) == {"encoder", *heads}


def test_heads_alone_are_saved_without_an_encoder_and_come_back(
    base_folder: Path, reference: BaseReference, model_settings: ModelSettings, tmp_path: Path
) -> None:
    model = build(base_folder, method="head")
    save_weights(model, tmp_path, encoder_as_base=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "heads.safetensors"}
    again = load_weights(tmp_path, reference, model_settings.cache_dir)
    assert torch.allclose(logits(again), logits(model), atol=1e-5)


def test_heads_alone_begin_with_a_bundles_encoder_and_leave_it_as_it_is(
    small_run: SmallRun, base_folder: Path, reference: BaseReference, model_settings: ModelSettings, tmp_path: Path
) -> None:
    bundle = small_run.result.bundle.folder
    model = build(base_folder, method="head", start_from=bundle, lora_rank=2)
    assert trained(model) == {"attention", "document_type"}
    before = logits(load_weights(bundle, reference, model_settings.cache_dir))
    assert torch.allclose(logits(model), before, atol=1e-4)
    with torch.no_grad():
        model.attention.bias += 1.0
    save_weights(model, tmp_path)
    old, new = load_file(bundle / "adapter.safetensors"), load_file(tmp_path / "adapter.safetensors")
    assert all(torch.equal(old[name], new[name]) for name in old)
    again = load_weights(tmp_path, reference, model_settings.cache_dir)
    assert torch.allclose(logits(again), before + 1.0, atol=1e-4)
    assert torch.allclose(logits(merged(model)), before + 1.0, atol=1e-4)


def test_a_bundle_of_another_method_is_refused(small_run: SmallRun, base_folder: Path) -> None:
    with pytest.raises(BundleError, match="trained with another method"):
        build(base_folder, method="full", start_from=small_run.result.bundle.folder)
