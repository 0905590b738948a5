"""Rules that a corpus must keep as a whole, and that no schema can see. Each function gives problems as
``path:line: what is wrong``, or as a plain sentence where the fault is of no single line."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from datasketch import MinHash, MinHashLSH

from labeling.corpus_files import TRAINED_LANGUAGES, ZERO_SHOT_LANGUAGES, CorpusExample
from labeling.corpus_report import NGRAM, CorpusReport, ngrams
from models.taxonomy import Taxonomy
from models.text import LONG_NUMBER, normalise

EXPLICIT_WORDS = Path(__file__).parent / "explicit_words.txt"
MAX_SHARED_NGRAMS = 3
"""Two texts that share more runs of five words than this are likely one template, unless they are a pair of one scenario."""
NEAR_DUPLICATE = 0.6
"""Jaccard similarity of the sets of letter 5-grams from which two texts count as near-duplicates."""

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE)
_FICTION = re.compile(r"7700900|555|1632960|20794601|0199|900[0-9]{3}")
"""Blocks that numbering authorities keep for fiction (GB, US, FR and others)."""


@dataclass(frozen=True)
class Bounds:
    """The least that a corpus must hold to be called whole (version 1)."""

    examples: int = 3000
    examples_per_language: int = 280
    zero_shot_examples_per_language: int = 60
    indicator_positives: int = 150
    indicator_positives_per_language: int = 12
    counter_indicator_positives: int = 120
    without_indicator_share: float = 0.4
    hard_negative_share: float = 0.5
    """Of the texts without an indicator, more than this look like one."""
    not_service_ad_share: float = 0.5
    document_types: tuple[tuple[str, int], ...] = (("prevention_or_news", 150), ("spam_or_scam", 120), ("other", 120))
    repeated_ngram_share: float = 0.02


def broken_rules(corpus: Sequence[CorpusExample]) -> list[str]:
    """Problems of single texts and of pairs: contact details, explicit words, templates, near-duplicates."""
    texts = [normalise(item.example.text).text for item in corpus]
    return [
        *_contact_details(corpus, texts),
        *_explicit_words(corpus, texts),
        *_templates(corpus),
        *_near_duplicates(corpus, texts),
    ]


def broken_bounds(report: CorpusReport, taxonomy: Taxonomy, bounds: Bounds) -> Iterator[str]:
    """What a corpus lacks, each as a sentence."""
    for what, count, least in _counts(report, taxonomy, bounds):
        if count < least:
            yield f"{what}: {count}, fewer than {least}"
    for language, diversity in report.diversity.items():
        if diversity.repeated_ngrams > bounds.repeated_ngram_share:
            yield (
                f"{language}: {diversity.repeated_ngrams:.1%} of the runs of {NGRAM} words are in more than one scenario "
                f"(at most {bounds.repeated_ngram_share:.0%}): templates"
            )


def _counts(report: CorpusReport, taxonomy: Taxonomy, bounds: Bounds) -> Iterator[tuple[str, int, int]]:
    """What is counted, how many there are, and how many there must be."""
    total = report.examples.total()
    trained = sorted({*TRAINED_LANGUAGES, *report.examples} - set(ZERO_SHOT_LANGUAGES))
    yield "examples", total, bounds.examples
    for language in trained:
        yield f"examples in {language}", report.examples[language], bounds.examples_per_language
    for language in ZERO_SHOT_LANGUAGES:
        yield f"examples in {language}", report.examples[language], bounds.zero_shot_examples_per_language
    for label in taxonomy.indicator_ids:
        yield f"positives of {label}", report.positives[label].total(), bounds.indicator_positives
        for language in trained:
            yield (
                f"positives of {label} in {language}",
                report.positives[label][language],
                bounds.indicator_positives_per_language,
            )
    for label in taxonomy.counter_indicator_ids:
        yield f"positives of {label}", report.positives[label].total(), bounds.counter_indicator_positives
    for kind, least in bounds.document_types:
        yield f"texts of type {kind}", report.document_types[kind].total(), least
    yield "texts without an indicator", report.without_indicator, round(bounds.without_indicator_share * total)
    more_than = int(bounds.hard_negative_share * report.without_indicator)
    yield "texts without an indicator that look like one (hard_negative_for)", report.only_like_one, more_than + 1
    not_service = total - report.document_types["service_ad"].total()
    yield "texts that are no service ad", not_service, round(bounds.not_service_ad_share * total)


def _contact_details(corpus: Sequence[CorpusExample], texts: Sequence[str]) -> Iterator[str]:
    for item, text in zip(corpus, texts, strict=True):
        if _EMAIL.search(text):
            yield f"{item.path}:{item.line}: an e-mail address"
        for match in LONG_NUMBER.finditer(text):
            digits = re.sub(r"\D", "", match[0])
            if digits.count("0") < len(digits) - 4 and not _FICTION.search(digits):
                yield f"{item.path}:{item.line}: a phone number that could be real"


def _explicit_words(corpus: Sequence[CorpusExample], texts: Sequence[str]) -> Iterator[str]:
    for item, text in zip(corpus, texts, strict=True):
        if _explicit_pattern().search(text):
            yield f"{item.path}:{item.line}: an explicit word"


@cache
def _explicit_pattern() -> re.Pattern[str]:
    lines = EXPLICIT_WORDS.read_text(encoding="utf-8").split("\n")
    words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return re.compile("|".join(rf"\b{w[:-1]}" if w.endswith("*") else rf"\b{w}\b" for w in words), re.IGNORECASE)


def _templates(corpus: Sequence[CorpusExample]) -> Iterator[str]:
    users: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(corpus):
        for ngram in set(ngrams(item.example.text)):
            users[(item.example.lang, *ngram)].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for places in users.values():
        shared.update(combinations(places, 2))
    for (a, b), count in shared.items():
        if count > MAX_SHARED_NGRAMS and corpus[a].example.scenario != corpus[b].example.scenario:
            yield f"{corpus[b].path}:{corpus[b].line}: shares {count} runs of {NGRAM} words with {corpus[a].example.id}"


def _near_duplicates(corpus: Sequence[CorpusExample], texts: Sequence[str]) -> Iterator[str]:
    """MinHash with locality-sensitive hashing (Broder 1997); in different splits such a pair would be leakage."""
    index = MinHashLSH(threshold=NEAR_DUPLICATE, num_perm=64)
    for number, (item, normalised) in enumerate(zip(corpus, texts, strict=True)):
        text = " ".join(normalised.casefold().split())
        sketch = MinHash(num_perm=64)
        sketch.update_batch([text[i : i + 5].encode() for i in range(max(len(text) - 4, 1))])
        for other in index.query(sketch):
            earlier = corpus[other]
            if earlier.example.scenario != item.example.scenario:
                leak = "" if earlier.example.split == item.example.split else ", which is in another split"
                yield f"{item.path}:{item.line}: is nearly the same text as {earlier.example.id}{leak}"
        index.insert(number, sketch)
