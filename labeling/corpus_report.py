"""What the corpus holds, and what in it breaks a rule that a schema cannot see."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from labeling.corpus_files import CorpusExample
from models.taxonomy import Taxonomy
from models.text import normalise

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE)
_NUMBER = re.compile(r"\+?\d(?:[ \-./()]{0,2}\d){7,}")
_FICTION = re.compile(r"7700900|555|1632960|20794601|0199|900[0-9]{3}")
"""Blocks that numbering authorities keep for fiction (GB, US, FR and others)."""
NGRAM = 5
MAX_SHARED_NGRAMS = 3
"""Two texts that share more runs of five words than this are likely one template, unless they are a pair of one scenario."""


@dataclass(frozen=True)
class CorpusReport:
    """Counts, and problems as ``path:line: what is wrong``."""

    examples: Counter[str]
    """language → examples"""
    positives: dict[str, Counter[str]]
    """label → language → examples that have it"""
    hard_negatives: dict[str, Counter[str]]
    document_types: dict[str, Counter[str]]
    splits: Counter[str]
    without_indicator: int
    problems: list[str]


def corpus_report(corpus: Sequence[CorpusExample], taxonomy: Taxonomy) -> CorpusReport:
    """Count everything, and look for contact details that could be real and for templates."""
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
    return CorpusReport(
        Counter(item.example.lang for item in corpus),
        positives,
        hard_negatives,
        document_types,
        Counter(item.example.split or "" for item in corpus),
        sum(not indicators & set(item.example.labels) for item in corpus),
        [*_contact_details(corpus), *_templates(corpus)],
    )


def _contact_details(corpus: Sequence[CorpusExample]) -> list[str]:
    problems = []
    for item in corpus:
        text = normalise(item.example.text).text
        where = f"{item.path}:{item.line}"
        if _EMAIL.search(text):
            problems.append(f"{where}: an e-mail address")
        for match in _NUMBER.finditer(text):
            digits = re.sub(r"\D", "", match[0])
            if digits.count("0") < len(digits) - 4 and not _FICTION.search(digits):
                problems.append(f"{where}: a phone number that could be real")
    return problems


def _templates(corpus: Sequence[CorpusExample]) -> list[str]:
    users: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(corpus):
        words = re.findall(r"\w+", item.example.text.casefold())
        for ngram in {tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}:
            users[ngram].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for places in users.values():
        shared.update((a, b) for n, a in enumerate(places) for b in places[n + 1 :])
    return [
        f"{corpus[b].path}:{corpus[b].line}: shares {count} runs of {NGRAM} words with {corpus[a].example.id}"
        for (a, b), count in shared.items()
        if count > MAX_SHARED_NGRAMS and corpus[a].example.scenario != corpus[b].example.scenario
    ]
