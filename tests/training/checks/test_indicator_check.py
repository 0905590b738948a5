from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from labeling.corpus_files import corpus_paths, read_corpus
from labeling.corpus_report import ngrams
from models.runtime import Scorer
from models.scores import AdScore, LabelScore, Language, Status
from models.taxonomy import packaged_taxonomy
from training.checks.indicator_check import Pair, indicator_check, load_pairs, run_pairs
from training.errors import TrainingError

TAXONOMY = packaged_taxonomy()
LANGUAGES = {"nl", "en", "de", "fr", "es", "pt", "pl", "ro", "hu", "bg"}


class Reader:
    """Says ``present`` for the labels whose name is in the text. Stands in for a trained scorer."""

    taxonomy = TAXONOMY

    def score(self, texts: Sequence[str], *, evidence: bool = True) -> list[AdScore]:
        def found(text: str, label: str) -> LabelScore:
            return LabelScore(0.9, Status.PRESENT) if label in text else LabelScore(0.1, Status.ABSENT)

        return [
            AdScore(Language("nl", 1.0, True), "other", 1.0, {i: found(t, i) for i in TAXONOMY.indicator_ids}, {}) for t in texts
        ]


def pair(capability: str, text: str, twin: str, label: str | None = "debt_or_fees", number: int = 1) -> Pair:
    return Pair.model_validate(
        {"id": f"nl-{capability}-{number:02}", "capability": capability, "label": label, "text": text, "twin": twin}
    )


@pytest.mark.parametrize(
    ("one", "counted", "right"),
    [
        (pair("negation", "debt_or_fees", "nothing"), True, True),
        (pair("negation", "debt_or_fees", "debt_or_fees"), True, False),
        (pair("negation", "nothing", "nothing"), True, False),
        (pair("identity", "debt_or_fees", "debt_or_fees", None), True, True),
        (pair("identity", "nothing", "absent_limits", None), True, False),
        (pair("obfuscation", "debt_or_fees", "debt_or_fees"), True, True),
        (pair("obfuscation", "debt_or_fees", "nothing"), True, False),
        (pair("obfuscation", "nothing", "nothing"), False, False),
    ],
)
def test_when_a_pair_is_right(one: Pair, counted: bool, right: bool) -> None:
    (outcome,) = run_pairs(Reader(), [one])  # type: ignore[arg-type]
    assert (outcome.counted, outcome.right) == (counted, right)


def test_failure_rates_are_given_by_capability_and_language() -> None:
    pairs = [
        pair("negation", "debt_or_fees", "nothing"),
        pair("negation", "debt_or_fees", "debt_or_fees", number=2),
        pair("obfuscation", "nothing", "nothing"),
        pair("voice", "a label", "that nobody knows", label="unknown_label"),
    ]
    rates = indicator_check(Reader(), pairs)  # type: ignore[arg-type]
    assert rates["negation"] == {"pairs": 2, "failure_rate": 0.5, "languages": {"nl": {"pairs": 2, "failure_rate": 0.5}}}
    assert rates["obfuscation"]["failure_rate"] is None
    assert "voice" not in rates


def test_a_real_scorer_can_be_checked(scorer: Scorer) -> None:
    rates = indicator_check(scorer, load_pairs()[::20])
    assert all(0 <= entry["failure_rate"] <= 1 for entry in rates.values() if entry["pairs"])


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "nl.jsonl").write_text('{"id": "nl-x-01"}\n')
    with pytest.raises(TrainingError, match=r"nl\.jsonl:1"):
        load_pairs(tmp_path)


def test_every_language_has_pairs_of_every_capability() -> None:
    counts = Counter((p.language, p.capability) for p in load_pairs())
    for language in LANGUAGES:
        assert sum(n for (lang, _), n in counts.items() if lang == language) >= 60
        assert all(counts[language, capability] >= 5 for capability in {c for _, c in counts})


def test_the_pairs_are_whole_and_no_text_of_the_corpus() -> None:
    pairs = load_pairs()
    assert len({p.id for p in pairs}) == len(pairs)
    for p in pairs:
        assert p.text != p.twin
        assert p.label in TAXONOMY.indicator_ids or (p.label is None and p.capability == "identity"), p.id
    corpus = {ngram for item in read_corpus(corpus_paths()) for ngram in ngrams(item.example.text, 8)}
    copied = [p.id for p in pairs if corpus.intersection(ngrams(p.text, 8)) or corpus.intersection(ngrams(p.twin, 8))]
    assert copied == []
