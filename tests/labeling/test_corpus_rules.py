import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from labeling.corpus_files import CorpusExample, corpus_paths, read_corpus
from labeling.corpus_report import corpus_report
from labeling.corpus_rules import Bounds, broken_bounds, broken_rules
from models.taxonomy import packaged_taxonomy

TAXONOMY = packaged_taxonomy()


def read(folder: Path, *texts: str, scenarios: Iterable[str] | None = None, name: str = "en.jsonl") -> list[CorpusExample]:
    """A corpus of these texts, each of its own scenario when nothing else is said."""
    names = scenarios or [f"s-{number}" for number in range(len(texts))]
    lines = [
        {"id": f"{name[:2]}-{number:04}", "scenario": scenario, "document_type": "other", "text": text}
        for number, (text, scenario) in enumerate(zip(texts, names, strict=True))
    ]
    path = folder / name
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return read_corpus([path])


def problems(corpus: list[CorpusExample]) -> list[str]:
    return [problem.rsplit(":", 2)[1] + ":" + problem.rsplit(":", 2)[2] for problem in broken_rules(corpus)]


def test_contact_details_that_could_be_real_are_found(tmp_path: Path) -> None:
    corpus = read(tmp_path, "Write to jan@farmwork.nl", "call +31 6 2345 6789", "call 06-00000000", "call +44 7700 900123")
    assert problems(corpus) == ["1: an e-mail address", "2: a phone number that could be real"]


@pytest.mark.parametrize("word", ["porno", "Erotische", "p o r n o", "секс"])
def test_an_explicit_word_is_found(tmp_path: Path, word: str) -> None:
    assert problems(read(tmp_path, f"Something {word} here", "Essex, the sixth of May")) == ["1: an explicit word"]


def test_a_template_is_found_unless_it_is_a_pair_of_one_scenario(tmp_path: Path) -> None:
    same = "we pick up the whole crew at the station every single morning"
    texts = (
        f"Farm on the dyke: {same}. Leeks, mostly, and in spring the early potatoes.",
        f"{same}, rain or shine, says my sister, who laid bricks there for two years and would go back",
        f"Call 06-00000000: {same}; boots, gloves and a hot lunch are ours, sunscreen is yours",
    )
    found = problems(read(tmp_path, *texts, scenarios=["a", "b", "b"]))
    assert found == ["2: shares 8 runs of 5 words with en-0000", "3: shares 8 runs of 5 words with en-0000"]


def test_a_near_duplicate_is_found_and_leakage_is_said(tmp_path: Path) -> None:
    text = "Looking for two people who can start on Monday at the packing hall, mornings only, bus stop at the gate."
    corpus = read(tmp_path, text, text.replace("two", "2").replace(".", "!"), scenarios=["asparagus-bus", "farm"])
    assert {item.example.split for item in corpus} == {"train", "validation"}
    assert any("is nearly the same text as en-0000, which is in another split" in problem for problem in broken_rules(corpus))


def test_a_template_shows_up_in_the_diversity(tmp_path: Path) -> None:
    varied = corpus_report(read(tmp_path, "one two three four five six", "seven eight nine ten eleven"), TAXONOMY)
    same = corpus_report(read(tmp_path, "one two three four five six", "zero one two three four five six"), TAXONOMY)
    assert varied.diversity["en"].repeated_ngrams == 0
    assert same.diversity["en"].repeated_ngrams == pytest.approx(2 / 3)
    assert any("templates" in lack for lack in broken_bounds(same, TAXONOMY, Bounds(examples=0)))


def test_what_a_corpus_lacks_is_said(tmp_path: Path) -> None:
    lacks = list(broken_bounds(corpus_report(read(tmp_path, "one text"), TAXONOMY), TAXONOMY, Bounds()))
    assert "examples: 1, fewer than 3000" in lacks
    assert "positives of debt_or_fees in en: 0, fewer than 12" in lacks
    assert "texts of type prevention_or_news: 0, fewer than 150" in lacks


@pytest.mark.parametrize(("language", "least"), [("bg", 280), ("uk", 60)])
def test_a_language_whose_file_is_gone_is_missed(language: str, least: int) -> None:
    paths = [path for path in corpus_paths() if path.stem != language]
    lacks = list(broken_bounds(corpus_report(read_corpus(paths), TAXONOMY), TAXONOMY, Bounds()))
    assert f"examples in {language}: 0, fewer than {least}" in lacks
    assert all(language in lack for lack in lacks)


def test_a_language_that_is_new_must_be_as_whole_as_the_others(tmp_path: Path) -> None:
    lacks = list(broken_bounds(corpus_report(read(tmp_path, "en text", name="sv.jsonl"), TAXONOMY), TAXONOMY, Bounds()))
    assert "examples in sv: 1, fewer than 280" in lacks


def test_texts_without_an_indicator_must_mostly_look_like_one(tmp_path: Path) -> None:
    said = "texts without an indicator that look like one (hard_negative_for)"

    def lacks(*looks: list[str]) -> list[str]:
        corpus = read(tmp_path, *(f"text {number}" for number in range(len(looks))))
        items = [
            item.model_copy(update={"example": item.example.model_copy(update={"hard_negatives": look})})
            for item, look in zip(corpus, looks, strict=True)
        ]
        found = broken_bounds(corpus_report(items, TAXONOMY), TAXONOMY, Bounds())
        return [lack for lack in found if lack.startswith(said)]

    one, other = ["debt_or_fees"], ["states_limits"]
    assert lacks(one, one, [], []) == [f"{said}: 2, fewer than 3"], "half is not most"
    assert lacks(one, one, one, []) == []
    assert lacks(one, one, other, []) == [f"{said}: 2, fewer than 3"], "a counter-indicator is no indicator"


def test_the_shipped_corpus_keeps_every_rule_and_bound() -> None:
    corpus = read_corpus(corpus_paths())
    report = corpus_report(corpus, TAXONOMY)
    assert broken_rules(corpus) == []
    assert list(broken_bounds(report, TAXONOMY, Bounds())) == []
    assert set(report.examples) >= {"nl", "en", "de", "fr", "es", "pt", "pl", "ro", "hu", "bg", "it", "uk", "tr"}
