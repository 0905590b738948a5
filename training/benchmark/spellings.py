"""What a line of a benchmark's data says, whoever wrote it: the six fields that count, and their common other spellings.

``label`` for one label, labels that are numbers (pandas writes them with a ``.0``), ``Dev`` or ``val`` for the validation
split, NaN for nothing. Other fields are not looked at: they are another project's, whatever they are called.
"""

import math
from typing import Any

from pydantic import ValidationError

from models.example import Span, first_problem

FIELDS = ("id", "text", "labels", "lang", "spans", "split")
SPLIT_NAMES = {
    "dev": "validation",
    "development": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "val": "validation",
    "valid": "validation",
    "training": "train",
    "testing": "test",
}


def known_fields(line: dict[str, Any]) -> dict[str, Any]:
    """The fields of an example, as ``models.example`` spells them; one that says nothing is left out."""
    said = {name: value for name, value in line.items() if not _is_nothing(value)}
    labels = said.get("labels", said.get("label"))
    fields = {name: said[name] for name in FIELDS if name in said}
    if labels is not None:
        fields["labels"] = [as_text(label) for label in labels] if isinstance(labels, list) else [as_text(labels)]
    fields |= {"id": _as_name(said.get("id")), "lang": _as_name(said.get("lang")) or "und"}
    if isinstance(fields.get("split"), str):
        name = fields["split"].strip().lower()
        fields["split"] = SPLIT_NAMES.get(name, name) or None
    return fields


def as_text(value: Any) -> Any:
    """A whole number as a name: 3 and 3.0 are "3". Anything else is left as it is."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int) else value


def usable_spans(given: Any, text: str, labels: list[str]) -> tuple[list[Span], list[str]]:
    """The spans that fit a line, and why each of the others does not; a reason holds nothing of the text.

    Args:
        given: what the line says under ``spans``.
        text: of the line.
        labels: of the line.
    """
    if _is_nothing(given):
        return [], []
    if not isinstance(given, list):
        return [], ["spans: this is no list"]
    usable: list[Span] = []
    reasons: list[str] = []
    for item in given:
        try:
            span = Span.model_validate({**item, "label": as_text(item.get("label"))} if isinstance(item, dict) else item)
        except ValidationError as error:
            reasons.append(first_problem(error, "spans"))
            continue
        if misfit := span.misfit(text, labels):
            reasons.append(misfit)
        else:
            usable.append(span)
    return usable, reasons


def _as_name(value: Any) -> str:
    """An id or a language; nothing where it is neither text nor a whole number."""
    name = as_text(value)
    return name.strip() if isinstance(name, str) else ""


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
