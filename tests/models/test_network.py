from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import BaseEncoderError
from models.losses import FREE
from models.network import SignaalConfig, SignaalModel, add_lora, freeze_embeddings, merged, new_model

LABELS = ["a", "b", "c"]
IDS = torch.tensor([[0, 100, 200, 300, 2], [0, 500, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture
def model(base_folder: Path) -> SignaalModel:
    torch.manual_seed(0)
    return new_model(base_folder, SignaalConfig(labels=LABELS, document_types=["x", "y"], head_dropout=0.0), layers=1).eval()


def test_one_pass_gives_logits_evidence_and_document_type(model: SignaalModel) -> None:
    out = model(IDS, MASK)
    assert out.logits.shape == (2, 3)
    assert out.evidence.shape == (2, 5, 3)
    assert out.document_type_logits.shape == (2, 2)


def test_padding_changes_nothing(model: SignaalModel) -> None:
    with torch.no_grad():
        alone, beside = model(IDS[1:, :3], MASK[1:, :3]), model(IDS, MASK)
    torch.testing.assert_close(alone.logits[0], beside.logits[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.evidence[0], beside.evidence[1, :3], atol=1e-5, rtol=1e-4)


def test_training_moves_evidence_onto_the_span(model: SignaalModel) -> None:
    model = add_lora(model, rank=4, alpha=8, dropout=0.0).train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 5e-3)
    labels, targets = torch.tensor([[1.0, 0, 0], [0, 0, 0]]), torch.zeros(2, 5, 3)
    targets[:, [0, 4]] = FREE
    targets[1, 2:] = FREE
    targets[0, 2, 0] = 1.0
    for _ in range(30):
        model(IDS, MASK, labels, evidence_targets=targets, document_types=torch.tensor([0, 1])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    out = model.eval()(IDS, MASK)
    assert out.evidence[0, 1:4, 0].argmax() == 1
    assert out.logits[0, 0] > 0 > out.logits[1, 0]


@pytest.mark.parametrize(
    "how",
    [{"label_loss": {"kind": "focal", "gamma": 3.0}}, {"label_loss": {"kind": "asymmetric"}}, {"label_smoothing": 0.2}],
)
def test_the_label_loss_is_the_configured_one_in_training_and_cross_entropy_in_evaluation(
    model: SignaalModel, how: dict[str, Any]
) -> None:
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 0.5]])

    def losses() -> tuple[float, float]:
        torch.manual_seed(1)
        return model.train()(IDS, MASK, labels).loss.item(), model.eval()(IDS, MASK, labels).loss.item()

    plain = losses()
    model.config.update(how)
    chosen = losses()
    assert chosen[0] != pytest.approx(plain[0], rel=1e-3)
    assert chosen[1] == plain[1]


def test_two_readings_of_a_text_are_drawn_together_only_where_that_has_a_weight(model: SignaalModel) -> None:
    labels, views = torch.zeros(2, 3), torch.tensor([0, 1])
    assert model(IDS, MASK, labels, views=views).consistency_loss is None
    model.config.update({"consistency_weight": 2.0})
    assert model(IDS, MASK, labels).consistency_loss is None
    out = model(IDS, MASK, labels, views=views)
    assert out.consistency_loss > 0
    assert out.loss.item() == pytest.approx((out.label_loss + 2 * out.consistency_loss).item())


def test_lora_trains_little_and_merging_keeps_the_outputs(model: SignaalModel) -> None:
    model = add_lora(model, rank=4, alpha=8, dropout=0.0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    encoder_trained = sum(p.numel() for n, p in model.named_parameters() if p.requires_grad and n.startswith("encoder."))
    assert encoder_trained < 50_000
    with torch.no_grad():
        before = model.eval()(IDS, MASK).logits
        after = merged(model)(IDS, MASK).logits
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_full_fine_tuning_leaves_only_the_embeddings_frozen(model: SignaalModel) -> None:
    freeze_embeddings(model)
    frozen = {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"embeddings"}


def test_more_layers_than_the_encoder_has_are_refused(base_folder: Path) -> None:
    with pytest.raises(BaseEncoderError, match="has 12 layers, and 20 cannot be kept: ask for 12 or fewer"):
        new_model(base_folder, SignaalConfig(labels=LABELS), layers=20)


def test_it_survives_save_pretrained(model: SignaalModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = SignaalModel.from_pretrained(tmp_path).eval()
    assert again.config.labels == LABELS
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, MASK).logits, again(IDS, MASK).logits)
