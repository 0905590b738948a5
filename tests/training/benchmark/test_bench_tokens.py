"""Tokens, evidence targets and span figures of a benchmark."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.losses import FREE
from models.windows import WindowMaker
from training.benchmark.records import BenchmarkExample
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.span_figures import SpanFigures, SpanReader
from training.benchmark.task import Task
from training.benchmark.tokens import TokenisedSplit, most_tokens, tokenise, window_maker

ROOM = "The room was clean but the breakfast was cold."
EXAMPLES = [
    BenchmarkExample.model_validate(
        {
            "text": ROOM,
            "labels": ["clean", "cold"],
            "spans": [{"start": 13, "end": 18, "label": "clean"}, {"start": 27, "end": 45, "label": "cold"}],
        }
    ),
    BenchmarkExample(text="Clean. Nobody knows where.", labels=["clean"]),
    BenchmarkExample(text="Nothing to say of it. " * 40, labels=[]),
]
TASK = Task.of(EXAMPLES)


@pytest.fixture(scope="module")
def maker(base_folder: Path) -> WindowMaker:
    return window_maker(base_folder, 32)


@pytest.fixture(scope="module")
def split(maker: WindowMaker) -> TokenisedSplit:
    return tokenise(EXAMPLES, TASK, maker, "test")


def test_texts_keep_their_tokens_and_what_is_too_long_is_cut_off_and_counted(split: TokenisedSplit, maker: WindowMaker) -> None:
    assert split.lengths[2] == 32
    assert split.cut_off == 1
    batch = split.batch([1, 0])
    (window,) = maker.windows([ROOM])
    assert batch["input_ids"][1].tolist() == window.ids
    assert batch["attention_mask"].sum(1).tolist() == [split.lengths[1], split.lengths[0]]
    assert batch["labels"].tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("long", "settings", "expected"),
    [(5, {}, 256), (6, {}, 512), (100, {"minutes": 30}, 256), (100, {"max_tokens": 64}, 64), (0, {"max_tokens": 64}, 64)],
)
def test_texts_are_read_twice_as_far_where_many_are_long(
    long: int, settings: dict[str, Any], expected: int, base_folder: Path
) -> None:
    train = [BenchmarkExample(text="word " * (300 if i < long else 5), labels=["a"]) for i in range(100)]
    assert most_tokens(train, base_folder, BenchmarkSettings(**settings)) == expected


def test_nothing_is_blinded(maker: WindowMaker, base_folder: Path) -> None:
    text = "Two Romanian women are looking for work in the city."
    (window,) = maker.windows([text])
    (blind,) = WindowMaker(base_folder / "tokenizer.json").windows([text])
    assert window.ids != blind.ids


def test_spans_become_evidence_and_a_label_without_one_is_left_free(split: TokenisedSplit, maker: WindowMaker) -> None:
    targets = split.batch([0, 1], evidence=True)["evidence_targets"]
    (window,) = maker.windows([ROOM])
    inside = [i for i, (s, e) in enumerate(zip(window.starts, window.ends, strict=True)) if s >= 13 and e <= 18]
    assert torch.nonzero(targets[0, :, 0] == 1).ravel().tolist() == inside
    assert torch.all(targets[1, :, 0] == FREE)
    length = int(split.lengths[1])
    assert torch.all(targets[1, 1 : length - 1, 1] == 0)
    assert torch.all(targets[1, length:, 1] == FREE)


def evidence(split: TokenisedSplit) -> list[tuple[int, np.ndarray]]:
    """As a perfect network would give it."""
    perfect = split.batch([0, 1, 2], evidence=True)["evidence_targets"].clamp(min=0).numpy()
    return [(row, perfect[row, : split.lengths[row]]) for row in (2, 0, 1)]


def test_a_perfect_network_has_token_f1_one(split: TokenisedSplit, maker: WindowMaker) -> None:
    reader = SpanReader(TASK, maker, EXAMPLES, split.truth)
    found = reader.figures(evidence(split), 0.5)
    assert found.token_f1 == 1.0
    assert found.labels == {"clean": 1.0, "cold": 1.0}


def test_a_missed_label_costs_recall_and_a_wrong_one_precision(split: TokenisedSplit, maker: WindowMaker) -> None:
    missed = np.array([[True, False], [True, False], [False, False]])
    found = SpanReader(TASK, maker, EXAMPLES, missed).figures(evidence(split), 0.5)
    assert found.labels == {"clean": 1.0, "cold": 0.0}
    assert found.token_f1 == pytest.approx(2 * 1 / (1 + 1 + 3))  # of "clean" and "breakfast was cold" only "clean" was found
    wrong = split.truth.copy()
    wrong[2, 0] = True
    seen = evidence(split)
    seen[0][1][1, 0] = 0.9  # the first word of the third text
    assert SpanReader(TASK, maker, EXAMPLES, wrong).figures(seen, 0.5).labels["clean"] == pytest.approx(2 / 3)


def test_the_threshold_with_the_best_token_f1_is_chosen(split: TokenisedSplit, maker: WindowMaker) -> None:
    faint = [(row, values * 0.35 + 0.25) for row, values in evidence(split)]
    assert 0.3 <= SpanReader(TASK, maker, EXAMPLES, split.truth).best_threshold(faint) <= 0.6


def test_wrong_labels_in_texts_that_nobody_marked_cost_nothing_and_in_texts_without_labels_they_do(maker: WindowMaker) -> None:
    examples = [*[EXAMPLES[0]] * 5, *[EXAMPLES[1]] * 45, *[EXAMPLES[2]] * 5]
    split = tokenise(examples, TASK, maker, "test")
    everywhere = [(row, np.full((length, 2), 0.1, dtype=np.float32)) for row, length in enumerate(split.lengths)]
    for _, values in everywhere:
        values[1] = 0.9  # the first word
    perfect = split.batch(range(5), evidence=True)["evidence_targets"].clamp(min=0).numpy()
    seen = [(row, perfect[row, : split.lengths[row]]) for row in range(5)] + everywhere[5:]
    decided = split.truth.copy()
    decided[5:50, 1] = True  # "cold" is wrong, and nobody marked "clean", which is right
    assert SpanReader(TASK, maker, examples, decided).figures(seen, 0.5).token_f1 == 1.0
    decided[50:, 1] = True
    assert SpanReader(TASK, maker, examples, decided).figures(seen, 0.5).token_f1 == pytest.approx(2 * 20 / (20 + 25))


def test_without_spans_token_f1_is_not_measured_and_the_threshold_is_one_half(
    split: TokenisedSplit, maker: WindowMaker, caplog: pytest.LogCaptureFixture
) -> None:
    unmarked = [EXAMPLES[0].model_copy(update={"spans": []}), *EXAMPLES[1:]]
    everything = np.ones((3, 2), dtype=bool)
    reader = SpanReader(TASK, maker, unmarked, everything)
    assert reader.figures(evidence(split), 0.5) == SpanFigures(None, {"clean": None, "cold": None}, 0.5)
    assert reader.best_threshold(evidence(split)) == 0.5
    assert "Validation has no spans to choose a threshold by: words are evidence from 0.5 on" in caplog.text
