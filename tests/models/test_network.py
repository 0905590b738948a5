from pathlib import Path

import pytest
import torch

from models.network import (
    FREE,
    SignaalConfig,
    SignaalModel,
    add_lora,
    contrast_loss,
    evidence_loss,
    freeze_embeddings,
    merged,
    new_model,
)

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


def test_evidence_loss_leaves_free_labels_and_padding_alone() -> None:
    scores = torch.zeros(1, 4, 2, requires_grad=True)
    targets = torch.tensor([[[1.0, FREE], [0.0, FREE], [0.0, FREE], [FREE, FREE]]])
    evidence_loss(scores, targets, torch.tensor([[1.0, 1.0]]), torch.ones(1, 2)).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 0] < 0 < scores.grad[0, 1, 0]
    assert scores.grad[0, :, 1].abs().sum() == 0
    assert scores.grad[0, 3].abs().sum() == 0


def test_short_and_long_spans_pull_alike() -> None:
    def loss(inside: int) -> float:
        targets = torch.zeros(1, 40, 1)
        targets[0, :inside] = 1.0
        return float(evidence_loss(torch.full((1, 40, 1), -1.0), targets, torch.ones(1, 1), torch.ones(1, 1)))

    assert loss(1) == pytest.approx(loss(20), rel=1e-5)


def test_the_contrast_loss_parts_texts_of_one_scenario_where_their_labels_differ() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0], [9.0, 9.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    loss = contrast_loss(logits, labels, torch.tensor([7, 7, 8, -1]))
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(4.0 - 0.5)).item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]
    assert logits.grad[:, 1].abs().sum() == logits.grad[2:].abs().sum() == 0, "alike, of another scenario, or of none"


def test_the_contrast_loss_of_a_batch_without_a_pair_is_nothing() -> None:
    assert contrast_loss(torch.ones(2, 1), torch.tensor([[1.0], [0.0]]), torch.tensor([-1, -1])).item() == 0


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


def test_it_survives_save_pretrained(model: SignaalModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = SignaalModel.from_pretrained(tmp_path).eval()
    assert again.config.labels == LABELS
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, MASK).logits, again(IDS, MASK).logits)
