"""The keys of the review page: one a label, and what the others do."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, repeat

from labeling.web.catalogue import taxonomy_in
from models.taxonomy import Label, packaged_taxonomy

INDICATOR_KEYS = "1234567890qwexz"
COUNTER_KEYS = "asdfghvm"
SHORTCUTS = (
    (("←", "→", "↑", "↓", "Home", "End"), "move"),
    (("⇧ ←", "⇧ →", "⇧ ↑", "⇧ ↓"), "extend"),
    (("1 … 9", "0", "Q", "W", "A … G"), "mark"),
    (("⇧ 1 … ⇧ G",), "explain"),
    (("J",), "next_span"),
    (("Delete",), "remove"),
    (("Esc",), "unselect"),
    (("R", "Space"), "reveal"),
    (("L",), "labels"),
    (("T",), "document_type"),
    (("N",), "cannot_decide"),
    (("C",), "comment"),
    (("U", "Ctrl Z"), "undo"),
    (("Ctrl Y",), "redo"),
    (("Enter", "Ctrl Enter"), "done"),
    (("K",), "skip"),
    (("B",), "back"),
    (("?",), "help"),
)
"""Keys, and the key of the phrase that says what they do (``keys.*``)."""


@dataclass(frozen=True, slots=True)
class LabelOnPage:
    """A label as the review page shows it; ``key`` is empty when the keyboard has none left."""

    id: str
    kind: str
    key: str
    name: str
    definition: str
    cues: tuple[str, ...]
    hard_negatives: tuple[str, ...]


def labels_for(language: str, opted_out: Collection[str] = ()) -> list[LabelOnPage]:
    """The labels that a reviewer judges. A label keeps its key whatever others are left out."""
    taxonomy = taxonomy_in(language)
    found = []
    for kind, labels, keys in (
        ("indicator", taxonomy.indicators, INDICATOR_KEYS),
        ("counter", taxonomy.counter_indicators, COUNTER_KEYS),
    ):
        for label, key in zip(labels, chain(keys, repeat("")), strict=False):
            if label.id not in opted_out:
                found.append(_on_page(label, kind, key))
    return found


def key_of(label_id: str) -> str:
    """The key of one label."""
    taxonomy = packaged_taxonomy()
    for ids, keys in ((taxonomy.indicator_ids, INDICATOR_KEYS), (taxonomy.counter_indicator_ids, COUNTER_KEYS)):
        if label_id in ids and ids.index(label_id) < len(keys):
            return keys[ids.index(label_id)]
    return ""


def _on_page(label: Label, kind: str, key: str) -> LabelOnPage:
    return LabelOnPage(label.id, kind, key, label.name, label.definition, label.cues, label.hard_negatives)
