"""What a graph said is asked for once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.onnx_graph import FORM
from models.runtime import GraphRunner, Scorer, WindowScore
from models.windows import Window
from training.score_cache import CachedRunner, scores_path

TEXTS = ["Plukkers gezocht, het paspoort blijft op kantoor.", "Cat lost near the station. " * 60, "Plukkers gezocht voor de kas."]


class CountingRunner(GraphRunner):
    """The real runner, which counts the windows it is given."""

    def __init__(self, runner: GraphRunner) -> None:
        self.inner = runner
        self.window_maker, self.token_budget, self.callers = runner.window_maker, runner.token_budget, 1
        self.asked = 0

    def forward(self, windows: Sequence[Window]) -> list[WindowScore]:
        self.asked += len(windows)
        return self.inner.forward(windows)


@pytest.fixture
def counting(scorer: Scorer) -> CountingRunner:
    return CountingRunner(scorer.runner)


def test_what_was_scored_once_is_not_scored_again_even_by_another_process(
    scorer: Scorer, counting: CountingRunner, tmp_path: Path
) -> None:
    path = tmp_path / "scores" / "x.npz"
    first = CachedRunner(counting, path)
    raw = first.run(TEXTS)
    first.save()
    asked = counting.asked
    assert asked == len(counting.window_maker.windows(TEXTS)) > len(TEXTS), "one text is longer than a window"
    again = CachedRunner(counting, path).run(TEXTS)
    assert counting.asked == asked
    for plain, one, two in zip(scorer.runner.run(TEXTS), raw, again, strict=True):
        assert (one.logits == two.logits).all()
        assert np.allclose(plain.logits, two.logits, atol=1e-4)
        assert np.allclose(plain.document_type_logits, two.document_type_logits, atol=1e-4)
        assert [len(e) for e in plain.evidence] == [len(e) for e in two.evidence]
        assert np.allclose(np.concatenate(plain.evidence), np.concatenate(two.evidence), atol=1e-4)


def test_new_texts_are_added_to_what_is_kept(counting: CountingRunner, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for texts in (TEXTS[:1], TEXTS):
        runner = CachedRunner(counting, path)
        runner.run(texts)
        runner.save()
    CachedRunner(counting, path).run(TEXTS)
    assert counting.asked == len(counting.window_maker.windows(TEXTS))


def test_texts_of_the_same_tokens_are_one_entry(counting: CountingRunner, tmp_path: Path) -> None:
    runner = CachedRunner(counting, tmp_path / "x.npz")
    runner.run(["A Romanian cleaner for our offices, start on Monday."])
    runner.run(["A Ghanaian cleaner for our offices, start on Monday."])
    assert counting.asked == 1
    runner.run(["A cleaner for our offices, start on Monday."])
    assert counting.asked == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_broken_file_is_only_a_cache(counting: CountingRunner, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    runner = CachedRunner(counting, path)
    runner.run(TEXTS[:1])
    runner.save()
    asked = counting.asked
    CachedRunner(counting, path).run(TEXTS[:1])
    assert counting.asked == asked > 0


def test_no_text_is_kept(counting: CountingRunner, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    runner = CachedRunner(counting, path)
    runner.run(TEXTS)
    runner.save()
    content = path.read_bytes()
    assert not any(word in content for word in (b"paspoort", b"station", b"Plukkers"))
    assert {p.name for p in tmp_path.iterdir()} == {"x.npz"}


def test_texts_of_the_same_words_are_scored_once_whichever_batch_they_are_in(counting: CountingRunner, tmp_path: Path) -> None:
    first, second = CachedRunner(counting, tmp_path / "x.npz").run(["Plukkers gezocht.", "Pluk\u00adkers gezocht."])
    assert counting.asked == 1
    assert (first.logits == second.logits).all()


def test_scores_of_a_graph_that_was_written_otherwise_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scores_path("0" * 64, tmp_path, "int8")
    assert before != scores_path("0" * 64, tmp_path, "fp32")
    monkeypatch.setattr("models.onnx_graph.FORM", FORM + 1)
    assert scores_path("0" * 64, tmp_path, "int8") != before
