"""Weights to files, and into a network that is trained further."""

from pathlib import Path

import pytest
import torch

from models.base import DEFAULT_BASE, sha256_of
from models.bundle import BaseReference
from models.errors import BundleError
from models.network import SignaalConfig, SignaalModel, add_lora, freeze_embeddings, new_model
from models.settings import ModelSettings
from models.weights import load_weights, save_weights, start_from

IDS, MASK = torch.tensor([[0, 100, 200, 300, 2]]), torch.ones(1, 5, dtype=torch.int64)


def network(
    base_folder: Path, seed: int, *, rank: int = 4, alpha: int = 8, labels: tuple[str, ...] = ("a", "b"), layers: int = 1
) -> SignaalModel:
    torch.manual_seed(seed)
    fresh = new_model(base_folder, SignaalConfig(labels=list(labels)), layers=layers)
    model = add_lora(fresh, rank=rank, alpha=alpha, dropout=0.0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # as after some training
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def logits(model: SignaalModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS, MASK).logits
    return found


def test_training_can_start_from_saved_weights(base_folder: Path, tmp_path: Path) -> None:
    trained, other = network(base_folder, 1), network(base_folder, 2)
    save_weights(trained, tmp_path)
    assert not torch.allclose(logits(trained), logits(other), atol=1e-3)
    start_from(other, tmp_path)
    torch.testing.assert_close(logits(trained), logits(other))
    assert any(p.requires_grad and "lora" in n for n, p in other.named_parameters()), "the adapters can be trained on"


def test_saved_weights_hold_no_path_of_the_machine_that_made_them(
    base_folder: Path, tmp_path: Path, model_settings: ModelSettings
) -> None:
    model = network(base_folder, 1)
    model.config.encoder["_name_or_path"] = str(base_folder)  # as of a teacher that an older version saved
    expected = logits(model)
    save_weights(model, tmp_path)
    written = [path for path in tmp_path.iterdir() if str(base_folder.parent).encode() in path.read_bytes()]
    assert written == []
    base = BaseReference(name=DEFAULT_BASE, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=1)
    torch.testing.assert_close(logits(load_weights(tmp_path, base, model_settings.cache_dir)), expected)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ({"rank": 8}, "adapters of rank 4 and alpha 8, this run 8 and 8"),
        ({"alpha": 16}, "adapters of rank 4 and alpha 8, this run 4 and 16"),
        ({"layers": 2}, "other layers"),
        ({"labels": ("a", "c")}, "other labels"),
    ],
)
def test_weights_of_another_make_are_refused(base_folder: Path, tmp_path: Path, make: dict[str, object], says: str) -> None:
    save_weights(network(base_folder, 1), tmp_path)
    with pytest.raises(BundleError, match=says):
        start_from(network(base_folder, 2, **make), tmp_path)  # type: ignore[arg-type]


def test_adapters_do_not_fit_a_network_that_is_trained_in_full(base_folder: Path, tmp_path: Path) -> None:
    save_weights(network(base_folder, 1), tmp_path)
    with pytest.raises(BundleError, match="another method"):
        start_from(new_model(base_folder, SignaalConfig(labels=["a", "b"]), layers=1), tmp_path)


def test_a_network_trained_in_full_is_saved_without_the_base_encoders_embeddings(
    base_folder: Path, tmp_path: Path, model_settings: ModelSettings
) -> None:
    torch.manual_seed(3)
    trained = freeze_embeddings(new_model(base_folder, SignaalConfig(labels=["a", "b"]), layers=1)).eval()
    with torch.no_grad():
        trained.encoder.encoder.layer[0].output.dense.weight.mul_(1.5)
    save_weights(trained, tmp_path)
    assert (tmp_path / "encoder.safetensors").stat().st_size < 8_000_000
    base = BaseReference(name=DEFAULT_BASE, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=1)
    torch.testing.assert_close(logits(load_weights(tmp_path, base, model_settings.cache_dir)), logits(trained))
    other = freeze_embeddings(new_model(base_folder, SignaalConfig(labels=["a", "b"]), layers=1)).eval()
    start_from(other, tmp_path)
    torch.testing.assert_close(logits(other), logits(trained))


def test_whole_encoders_of_older_bundles_are_still_read(base_folder: Path, tmp_path: Path, model_settings: ModelSettings) -> None:
    trained = new_model(base_folder, SignaalConfig(labels=["a", "b"]), layers=1).eval()
    save_weights(trained, tmp_path)  # nothing is frozen, so all of it is written
    assert (tmp_path / "encoder.safetensors").stat().st_size > 300_000_000
    base = BaseReference(name="not needed", tokenizer_sha256="", layers=1)
    torch.testing.assert_close(logits(load_weights(tmp_path, base, model_settings.cache_dir)), logits(trained))
