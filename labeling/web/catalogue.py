"""The words of the pages, in English and Dutch: ``i18n/LANGUAGE.json``, a phrase a key.

``{name}`` in a phrase is filled in. A test demands the same keys, and the same names in braces, of every language.
"""

import json
from functools import cache
from pathlib import Path

from models.taxonomy import DocumentType, Label, Taxonomy, packaged_taxonomy

FOLDER = Path(__file__).with_name("i18n")
LANGUAGES = ("en", "nl")
NAMES = {"en": "English", "nl": "Nederlands"}


@cache
def phrases(language: str) -> dict[str, str]:
    """All phrases of one of ``LANGUAGES``."""
    read: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return read


def say(language: str, key: str, **values: object) -> str:
    """One phrase. An unknown key is a mistake of ours and raises KeyError."""
    phrase = phrases(language)[key]
    return phrase.format(**values) if values else phrase


def chosen_language(accepted: str) -> str:
    """The first of our languages in an ``Accept-Language`` header; English when there is none."""
    for part in accepted.lower().split(","):
        tag = part.split(";")[0].strip().split("-")[0]
        if tag in LANGUAGES:
            return tag
    return LANGUAGES[0]


@cache
def taxonomy_in(language: str) -> Taxonomy:
    """The packaged taxonomy with names, definitions, cues and hard negatives in a language. The ids stay."""
    taxonomy, path = packaged_taxonomy(), FOLDER / f"taxonomy.{language}.json"
    if not path.exists():
        return taxonomy
    words = json.loads(path.read_text(encoding="utf-8"))

    def label(one: Label) -> Label:
        return Label(**{**one.model_dump(), **words.get(one.id, {})})

    return Taxonomy(
        version=taxonomy.version,
        indicators=tuple(map(label, taxonomy.indicators)),
        counter_indicators=tuple(map(label, taxonomy.counter_indicators)),
        document_types=tuple(DocumentType(**{**one.model_dump(), **words.get(one.id, {})}) for one in taxonomy.document_types),
    )
