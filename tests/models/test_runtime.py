import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.errors import BundleError
from models.onnx_graph import Precision
from models.runtime import Scorer, keep_to
from models.scores import Status
from models.settings import ModelSettings
from tests.conftest import SmallRun

TEXTS = [
    "Plukkers gezocht. 🙂 Je paspoort blijft op kantoor, de bus kost 900 euro en gaat van je loon af.",
    "Cat lost near the station, grey, answers to Minou.",
    "Căutăm personal pentru hotel, contract de muncă și cazare. " * 60,
    "kort",
]


def test_an_answer_has_every_label_and_consistent_statuses(scorer: Scorer) -> None:
    for score in scorer.score(TEXTS):
        assert tuple(score.indicators) == scorer.taxonomy.indicator_ids
        assert tuple(score.counter_indicators) == scorer.taxonomy.counter_indicator_ids
        assert score.document_type in scorer.taxonomy.document_type_ids
        for label, found in (score.indicators | score.counter_indicators).items():
            low, high = scorer.thresholds[label]
            expected = (
                Status.PRESENT if found.probability >= high else Status.ABSENT if found.probability < low else Status.UNCERTAIN
            )
            assert found.status is expected
            assert bool(found.evidence) == (found.status is not Status.ABSENT)


def test_evidence_offsets_are_of_the_original_text(scorer: Scorer) -> None:
    text = "🙂 𝓗𝓲𝓮𝓻 Je p\u200baspoort bl1jft op k a n t o o r, 0️⃣6️⃣"
    for found in scorer.score([text])[0].indicators.values():
        for span in found.evidence:
            assert text[span.start : span.end] == span.text


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_neither_order_nor_company_changes_an_answer(small_run: SmallRun, precision: Precision) -> None:
    scorer = Scorer.of_bundle(small_run.result.bundle, small_run.settings.model_copy(update={"precision": precision}))
    together = scorer.score(TEXTS)
    alone = [scorer.score([text])[0] for text in TEXTS]
    backwards = scorer.score(TEXTS[::-1])[::-1]
    for a, b, c in zip(together, alone, backwards, strict=True):
        for label in scorer.taxonomy.indicator_ids:
            assert a.indicators[label].probability == pytest.approx(b.indicators[label].probability, abs=1e-5)
            assert a.indicators[label].probability == pytest.approx(c.indicators[label].probability, abs=1e-6)


def test_only_the_labels_asked_for_are_given(scorer: Scorer) -> None:
    (score,) = scorer.score(TEXTS[:1], labels=["debt_or_fees", "states_limits"], evidence=False)
    assert list(score.indicators) == ["debt_or_fees"]
    assert list(score.counter_indicators) == ["states_limits"]
    assert score.indicators["debt_or_fees"].evidence == ()


def test_the_language_is_detected_or_taken_from_the_hint(scorer: Scorer) -> None:
    dutch, hinted, unknown = scorer.score([TEXTS[0], TEXTS[0], "0612 🙂"], [None, "xx", None])
    assert (dutch.language.code, dutch.language.evaluated) == ("nl", True)
    assert (hinted.language.code, hinted.language.confidence, hinted.language.evaluated) == ("xx", 1.0, False)
    assert (unknown.language.code, unknown.language.evaluated) == ("und", False)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\x00", "\ud800", "🙂" * 500, "a" * 20_000])
def test_strange_texts_are_scored_all_the_same(scorer: Scorer, text: str) -> None:
    assert len(scorer.score([text])) == 1


def test_no_text_gives_no_answer(scorer: Scorer) -> None:
    assert scorer.score([]) == []


def test_threads_may_share_a_scorer(scorer: Scorer) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: scorer.score([text])[0], TEXTS * 3))
    for text, answer in zip(TEXTS * 3, answers, strict=True):
        assert answer == scorer.score([text])[0]


def test_cores_are_named_as_ranges() -> None:
    assert ModelSettings(cpus="0-2,5").cores() == {0, 1, 2, 5}
    assert ModelSettings().cores() == set()


def test_a_scorer_keeps_to_the_cores_that_are_named(small_run: SmallRun) -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    try:
        Scorer.of_bundle(small_run.result.bundle, small_run.settings.model_copy(update={"cpus": f"{core}"}))
        assert os.sched_getaffinity(0) == {core}
    finally:
        os.sched_setaffinity(0, before)
    with pytest.raises(BundleError, match="SIGNAAL_CPUS"):
        keep_to({9999})
