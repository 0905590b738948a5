"""One ad as a file or a stream holds it: from a record, or a line of NDJSON, to an ad that can be scored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from serving.errors import BulkError, RecordError
from serving.problems import field_errors, parse_json
from serving.schemas import Ad, Limits, nearest


@dataclass(frozen=True, slots=True)
class Columns:
    """Which field holds what. An id or language column that was not named is used when it is there."""

    text: str = "text"
    id: str | None = None
    language: str | None = None

    @property
    def id_name(self) -> str:
        return self.id or "id"

    @property
    def language_name(self) -> str:
        return self.language or "language"

    def check(self, present: Iterable[str], file: object) -> None:
        """Refuse a file whose header lacks a column that is needed.

        Raises:
            BulkError: names the column and those that there are.
        """
        names = list(present)
        for name, option in (
            (self.text, "--text-column"),
            (self.id, "--id-column"),
            (self.language, "--language-column"),
        ):
            if name is not None and name not in names:
                there = ", ".join(names[:20])
                raise BulkError(
                    f"{file} has no column '{name}'.{nearest(name, names)} Name one with {option}; there are: {there}."
                )


def ad_from(values: Mapping[str, Any], columns: Columns, line: int, limits: Limits) -> Ad:
    """The ad that a record holds; its line number is its id when it has none.

    Raises:
        RecordError: the record breaks the contract; the message never repeats its text.
    """
    if columns.text not in values:
        raise RecordError(f"There is no field '{columns.text}'.")
    ad_id, language = values.get(columns.id_name), values.get(columns.language_name)
    if ad_id is None or ad_id == "":
        ad_id = str(line)
    elif isinstance(ad_id, int) and not isinstance(ad_id, bool):
        ad_id = str(ad_id)
    fields = {"id": ad_id, "text": values[columns.text], "language": None if language in ("", "und") else language}
    try:
        return Ad.model_validate(fields, context=limits)
    except ValidationError as error:
        names = {"id": columns.id_name, "text": columns.text, "language": columns.language_name}
        reasons = [f"{names.get(one.field, one.field)}: {one.detail}" for one in field_errors(error)]
        raise RecordError(" ".join(reasons)) from None


def ad_from_json(raw: bytes, columns: Columns, line: int, limits: Limits) -> Ad:
    """The ad that a line of NDJSON holds.

    Raises:
        RecordError: it is no JSON object, or as ``ad_from``.
    """
    try:
        values = parse_json(raw)
    except ValueError as error:
        raise RecordError(f"Not JSON. {error}") from None
    if not isinstance(values, dict):
        raise RecordError("Not a JSON object.")
    return ad_from(values, columns, line, limits)
