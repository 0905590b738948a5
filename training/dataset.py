"""From labelled examples to tensors: windows, evidence targets per token."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import datasets
import torch
from torch import Tensor

from models.example import LabelledExample
from models.losses import FREE
from models.taxonomy import Taxonomy
from models.windows import WindowMaker
from training.augmentation import augmented, joined, remixed, sentence_loss
from training.sampler import Draw

LONGEST_JOINED = 250
"""Characters: a text that is joined to another costs time."""


def label_matrix(examples: Sequence[LabelledExample], labels: Sequence[str]) -> Tensor:
    """[examples, labels], 0/1."""
    return torch.tensor([[float(label in example.labels) for label in labels] for example in examples])


def document_type_indices(examples: Sequence[LabelledExample], taxonomy: Taxonomy) -> list[int]:
    """Index of each example's document type; -100 where it is not given."""
    known = taxonomy.document_type_ids
    return [known.index(e.document_type) if e.document_type else -100 for e in examples]


def rows_of(
    examples: Sequence[LabelledExample], taxonomy: Taxonomy, maker: WindowMaker, *, soft: bool = True
) -> list[dict[str, Any]]:
    """One row a window: ``input_ids``, ``labels`` [labels], ``evidence`` [[label, first token, end token], …], ``free``
    (labels present without a span), ``hard_negatives``, ``document_type``, ``scenario`` (a number, -1 for none).

    In a text of several windows a label belongs to those that hold one of its spans, or to all when it has none. With
    ``soft`` the target of a label is the share of annotators who saw it, where the example has one; a label that only a
    minority saw has no span, its attention is left free, and it is no hard negative.
    """
    kinds = document_type_indices(examples, taxonomy)
    rows: list[dict[str, Any]] = []
    for window in maker.windows([example.text for example in examples]):
        example = examples[window.text_index]
        marked = {span.label for span in example.spans}
        evidence = [
            [taxonomy.label_ids.index(span.label), *tokens]
            for span in example.spans
            if (tokens := window.tokens_of(span.start, span.end)) is not None
        ]
        shares = (example.shares or {}) if soft else {}
        seen = {*example.labels, *(label for label, share in shares.items() if share > 0)}
        free = [i for i, label in enumerate(taxonomy.label_ids) if label in seen - marked]
        present = {label for label, _, _ in evidence} | set(free)
        rows.append(
            {
                "input_ids": window.ids,
                "labels": [shares.get(label, 1.0) if i in present else 0.0 for i, label in enumerate(taxonomy.label_ids)],
                "evidence": evidence,
                "free": free,
                "hard_negatives": [taxonomy.label_ids.index(n) for n in example.hard_negatives if not shares.get(n)],
                "document_type": kinds[window.text_index],
                "scenario": scenario_number(example.scenario),
            }
        )
    return rows


def scenario_number(scenario: str) -> int:
    """A number for a scenario, the same in every run; -1 for none."""
    return zlib.crc32(scenario.encode()) if scenario else -1


def build_dataset(examples: Sequence[LabelledExample], taxonomy: Taxonomy, maker: WindowMaker) -> datasets.Dataset:
    """The windows of the examples as they are, for measuring: a row as in ``rows_of``, labels 0 or 1."""
    return datasets.Dataset.from_list(rows_of(examples, taxonomy, maker, soft=False), features=_FEATURES)


class TrainingTexts(torch.utils.data.Dataset):
    """Training texts, each made anew from an augmented text when it is drawn: ``windows``, its rows as in ``rows_of``, and, where
    texts are read twice, ``again``, those of the same text augmented once more.

    Args:
        examples: the texts.
        taxonomy: their labels.
        maker: cuts them into windows.
        augment_share: share of the drawings that are rewritten.
        mix_share: share of the drawings that lose plain sentences, and, independently, of those joined with another text.
        remix_share: share of the drawings that are sentences of several texts instead, of which no label is known.
        twice: every text is read twice.
        seed: with the drawing's own numbers it decides the rewriting.
    """

    def __init__(
        self,
        examples: Sequence[LabelledExample],
        taxonomy: Taxonomy,
        maker: WindowMaker,
        *,
        augment_share: float,
        mix_share: float = 0,
        remix_share: float = 0,
        twice: bool = False,
        seed: int,
    ) -> None:
        self.examples = examples
        self.taxonomy = taxonomy
        self.maker = maker
        self.augment_share = augment_share
        self.mix_share = mix_share
        self.remix_share = remix_share
        self.twice = twice
        self.seed = seed
        self._short: dict[str, list[int]] = defaultdict(list)
        """Language → what may be joined to another text."""
        self._of_language: dict[str, list[LabelledExample]] = defaultdict(list)
        for index, example in enumerate(examples):
            self._of_language[example.lang].append(example)
            if len(example.text) <= LONGEST_JOINED and _may_be_joined(example):
                self._short[example.lang].append(index)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        chance = self._chance(draw)
        drawn, labelled = self._drawn(draw.index, chance)
        readings = ("windows", "again") if self.twice else ("windows",)
        return {reading: self._windows(augmented(drawn, chance, self.augment_share), labelled) for reading in readings}

    def _windows(self, text: LabelledExample, labelled: bool) -> list[dict[str, Any]]:
        return [{**row, "labelled": labelled} for row in rows_of([text], self.taxonomy, self.maker)]

    def length_of(self, draw: Draw) -> int:
        """Characters of the text that is drawn so, before it is rewritten."""
        return len(self._drawn(draw.index, self._chance(draw))[0].text)

    def _chance(self, draw: Draw) -> Random:
        return Random(f"{self.seed} {draw.index} {draw.epoch} {draw.copy}")

    def _drawn(self, index: int, chance: Random) -> tuple[LabelledExample, bool]:
        """A text, and whether its labels are known."""
        if self.remix_share and chance.random() < self.remix_share:
            example = self.examples[index]
            return remixed(example, self._of_language[example.lang], chance), False
        return self._mixed(index, chance), True

    def _mixed(self, index: int, chance: Random) -> LabelledExample:
        text = self.examples[index]
        if not self.mix_share:
            return text
        if chance.random() < self.mix_share:
            text = sentence_loss(text, chance)
        others = self._short[text.lang]
        if chance.random() < self.mix_share and others and _may_be_joined(text):
            both = [text, self.examples[chance.choice(others)]]
            chance.shuffle(both)
            text = joined(*both)
        return text


def _may_be_joined(example: LabelledExample) -> bool:
    """A warning beside an ad would be about the ad; shares of annotators hold for the text that they read."""
    return example.document_type != "prevention_or_news" and example.shares is None


_FEATURES = datasets.Features(
    {
        "input_ids": datasets.List(datasets.Value("int32")),
        "labels": datasets.List(datasets.Value("float32")),
        "evidence": datasets.List(datasets.List(datasets.Value("int32"))),
        "free": datasets.List(datasets.Value("int32")),
        "hard_negatives": datasets.List(datasets.Value("int32")),
        "document_type": datasets.Value("int64"),
        "scenario": datasets.Value("int64"),
    }
)


class WindowCollator:
    """Rows of ``build_dataset`` or ``TrainingTexts`` to the arguments of ``SignaalModel.forward``, padded to the
    longest. A row that is not ``labelled`` says nothing of labels and evidence. Where texts are read twice, both readings
    are in the batch, and ``views`` says which window is of which.

    Args:
        pad_id: the padding token.
        positive_weights: weight of a present label, one per label; 1 when not given. A share between weighs between.
        hard_negative_weight: weight of an absent label that the text looks like.
    """

    def __init__(self, pad_id: int, positive_weights: Sequence[float] | None = None, hard_negative_weight: float = 1.0) -> None:
        self.pad_id = pad_id
        self.positive_weights = torch.tensor(positive_weights) if positive_weights else torch.tensor(1.0)
        self.hard_negative_weight = hard_negative_weight

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        twice = all("again" in row for row in rows)
        views = [row[reading] for row in rows for reading in ("windows", "again")] if twice else None
        rows = [window for view in views or [row.get("windows", [row]) for row in rows] for window in view]
        longest = max(len(row["input_ids"]) for row in rows)
        labels = torch.tensor([row["labels"] for row in rows])
        ids = torch.full((len(rows), longest), self.pad_id)
        mask = torch.zeros((len(rows), longest), dtype=torch.int64)
        weights = torch.lerp(torch.ones_like(labels), self.positive_weights.expand_as(labels), labels)
        targets = torch.full((len(rows), longest, labels.shape[1]), FREE)
        for index, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[index, :length] = torch.tensor(row["input_ids"])
            mask[index, :length] = 1
            targets[index, 1 : length - 1] = 0.0  # special tokens are never evidence, nor its opposite
            weights[index, row["hard_negatives"]] = self.hard_negative_weight
            for label in row["free"]:
                targets[index, :, label] = FREE
            for label, first, end in row["evidence"]:
                targets[index, first:end, label] = 1.0
            if not row.get("labelled", True):
                weights[index] = 0.0
                targets[index] = FREE
        kinds = torch.tensor([row["document_type"] for row in rows])
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels,
            "label_weights": weights,
            "evidence_targets": targets,
            "document_types": kinds,
            "scenarios": torch.tensor([row["scenario"] for row in rows]),
            **({"views": torch.tensor([k for k, view in enumerate(views) for _ in view])} if views else {}),
        }
