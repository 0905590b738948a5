"""What the corpus holds: counts by label and language, and how varied its words are."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labeling.corpus_files import CorpusExample
from models.taxonomy import Taxonomy

NGRAM = 5


@dataclass(frozen=True)
class Diversity:
    """How varied a language's texts are."""

    words: int
    different_words: int
    repeated_ngrams: float
    """Share of the different runs of five words that occur in more than one scenario: templates show up here."""


@dataclass(frozen=True)
class CorpusReport:
    """Counts over a corpus."""

    examples: Counter[str]
    """language → examples"""
    positives: dict[str, Counter[str]]
    """label → language → examples that have it"""
    hard_negatives: dict[str, Counter[str]]
    document_types: dict[str, Counter[str]]
    splits: Counter[str]
    without_indicator: int
    only_like_one: int
    """texts without an indicator that look like one: hard negatives"""
    diversity: dict[str, Diversity]
    """language → how varied"""


def corpus_report(corpus: Sequence[CorpusExample], taxonomy: Taxonomy) -> CorpusReport:
    """Count everything."""
    positives: dict[str, Counter[str]] = {label: Counter() for label in taxonomy.label_ids}
    hard_negatives: dict[str, Counter[str]] = {label: Counter() for label in taxonomy.label_ids}
    document_types: dict[str, Counter[str]] = {kind: Counter() for kind in taxonomy.document_type_ids}
    for item in corpus:
        for label in item.example.labels:
            positives[label][item.example.lang] += 1
        for label in item.example.hard_negatives:
            hard_negatives[label][item.example.lang] += 1
        document_types[item.example.document_type or ""][item.example.lang] += 1
    indicators = set(taxonomy.indicator_ids)
    free = [item.example for item in corpus if not indicators & set(item.example.labels)]
    examples = Counter(item.example.lang for item in corpus)
    return CorpusReport(
        examples,
        positives,
        hard_negatives,
        document_types,
        Counter(item.example.split or "" for item in corpus),
        len(free),
        sum(bool(indicators & set(example.hard_negatives)) for example in free),
        {language: _diversity([i for i in corpus if i.example.lang == language]) for language in sorted(examples)},
    )


def _diversity(corpus: Sequence[CorpusExample]) -> Diversity:
    words = [word for item in corpus for word in _words(item.example.text)]
    scenarios: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for item in corpus:
        for ngram in ngrams(item.example.text):
            scenarios[ngram].add(item.example.scenario)
    repeated = sum(len(used_in) > 1 for used_in in scenarios.values())
    return Diversity(len(words), len(set(words)), repeated / max(len(scenarios), 1))


def ngrams(text: str, length: int = NGRAM) -> Iterator[tuple[str, ...]]:
    """Runs of so many words, numbers left out (all phone numbers of the corpus are zeros)."""
    words = _words(text)
    return (tuple(words[i : i + length]) for i in range(len(words) - length + 1))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.casefold()) if not word.isdigit()]
