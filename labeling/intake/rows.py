"""A row of an import, checked: what an ad needs, and what a gold item needs beside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from labeling.errors import DraftError
from labeling.opinion import Draft
from models.example import Span
from models.taxonomy import packaged_taxonomy

LONGEST_TEXT = 20_000
"""Characters; what nobody would read to the end on one screen is no ad."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was not taken in. Says nothing of its text."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


def _as_text(value: object) -> object:
    """Ids are often numbers in tables; an empty cell is nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value == "" else value


def _readable(text: str) -> str:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, or is not UTF-8") from None
    if b"\0" in encoded:
        raise ValueError("holds a NUL character")
    if not text.strip():
        raise ValueError("is blank")
    return text


class IncomingAd(BaseModel):
    """What is read of a row; other fields are left where they are."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: Annotated[str, BeforeValidator(_as_text), AfterValidator(_readable), Field(min_length=1, max_length=200)]
    text: Annotated[str, AfterValidator(_readable), Field(max_length=LONGEST_TEXT)]
    language: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        default=None, pattern=r"^[a-z]{2,3}$", validation_alias=AliasChoices("language", "lang")
    )


class GoldAd(IncomingAd):
    """A row with its known answer, as in a labelled-examples file (``models.example``)."""

    labels: list[str]
    spans: tuple[Span, ...] = ()
    document_type: str | None = None

    @model_validator(mode="after")
    def _answer_is_an_opinion(self) -> Self:
        try:
            self.answer()
        except DraftError as error:
            raise ValueError(str(error)) from None
        return self

    def answer(self) -> dict[str, Any]:
        """The answer as it is stored: every label of the taxonomy judged."""
        taxonomy = packaged_taxonomy()
        draft = Draft(labels=dict.fromkeys(self.labels, True), document_type=self.document_type, spans=self.spans)
        return draft.checked(self.text, taxonomy).complete(taxonomy).model_dump(include={"labels", "document_type", "spans"})


def checked_rows(
    rows: Iterable[tuple[int, dict[str, Any]]], kind: type[IncomingAd]
) -> tuple[list[tuple[int, IncomingAd]], list[Problem]]:
    """Rows, with their line numbers, that are what they should be, and what is wrong with the others."""
    good: list[tuple[int, IncomingAd]] = []
    problems: list[Problem] = []
    for line, fields in rows:
        try:
            good.append((line, kind.model_validate(fields)))
        except ValidationError as error:
            problems.append(Problem(line, _said(error)))
    return good, problems


def _said(error: ValidationError) -> str:
    """The first fault, without the value that has it."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
