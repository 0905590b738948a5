"""What a request with feedback may hold: a reviewer's finding, by the ad's id; the ad's text only if both sides want it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from models.text import LONG_NUMBER
from serving.schemas import AdId, AdText, KnownLabel, LanguageCode, Limits, check_width, is_plain_name, nearest

Verdict = Literal["present", "absent", "unsure"]

MOST_SPANS = 200
_DATE = re.compile(r"\b(?:19|20)\d\d-[01]\d-[0-3]\d\b")
_HANDLE = re.compile(r"@\s*\w")


@dataclass(frozen=True, slots=True)
class FeedbackLimits(Limits):
    """What this server takes as feedback: most items (``max_ads``), and what it may be sent beside the findings."""

    document_type_ids: tuple[str, ...]
    text_accepted: bool
    note_accepted: bool


def _known_document_type(kind: str, info: ValidationInfo[FeedbackLimits]) -> str:
    if info.context is None or kind in info.context.document_type_ids:
        return kind
    named = f"'{kind}'" if is_plain_name(kind) else "This"
    near = nearest(kind[:60], info.context.document_type_ids)
    said = f"{named} is not a document type of this model.{near} GET /v1/indicators lists them."
    raise PydanticCustomError("unknown_document_type", "{said}", {"said": said})


def _no_contact(words: str) -> str:
    """Feedback is no place for people's addresses and numbers."""
    if _HANDLE.search(words) or LONG_NUMBER.search(_DATE.sub("", words)):
        raise PydanticCustomError(
            "contact_details",
            "This holds what may be an e-mail address, a handle or a phone number (eight digits or more). Leave it out.",
        )
    return words


def _moment(value: object) -> object:
    """A time as RFC 3339 writes it, in UTC."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and (moment := datetime.fromisoformat(value)).tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("no_moment", "This must be a time with its offset, such as '2026-11-25T14:03:00Z'.")


class FeedbackSpan(BaseModel):
    """The words ``text[start:end]`` show ``label``; characters are Unicode code points, end exclusive."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    label: KnownLabel
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=1)]


class FeedbackItem(BaseModel):
    """What one reviewer found in one ad."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: Annotated[AdId, Field(description="Your name for the ad, as you scored it.", examples=["a1"])]
    model: Annotated[
        str | None,
        Field(default=None, min_length=1, max_length=100, description="Bundle digest or version of the model that scored it."),
    ]
    labels: Annotated[
        dict[KnownLabel, Verdict],
        Field(
            min_length=1,
            description="What was found, by label; a label that was not looked at is left out.",
            examples=[{"debt_or_fees": "present", "minor_age_cue": "absent"}],
        ),
    ]
    document_type: Annotated[
        Annotated[str, AfterValidator(_known_document_type)] | None,
        Field(default=None, description="What kind of text it is.", examples=["recruitment_post"]),
    ]
    text: Annotated[
        AdText | None, Field(default=None, description="The words of the ad. They are stored; a server may refuse them.")
    ]
    spans: Annotated[
        list[FeedbackSpan] | None, Field(default=None, description="Where in ``text`` the labels are; only with a text.")
    ]
    language: Annotated[LanguageCode | None, Field(default=None, description="ISO 639 code.", examples=["en"])]
    reviewer: Annotated[
        Annotated[str, AfterValidator(_no_contact)] | None,
        Field(
            default=None,
            min_length=1,
            max_length=64,
            description="A role or pseudonym, to tell reviewers apart; no name, address or number.",
            examples=["desk-2"],
        ),
    ]
    note: Annotated[
        Annotated[str, AfterValidator(_no_contact)] | None,
        Field(default=None, min_length=1, max_length=500, description="Free words for labelling; a server may refuse them."),
    ]
    found_at: Annotated[
        Annotated[AwareDatetime, BeforeValidator(_moment)] | None, Field(default=None, description="When it was found.")
    ]

    @field_validator("text", mode="before")
    @classmethod
    def _text_is_wanted(cls, text: object, info: ValidationInfo[FeedbackLimits]) -> object:
        if text is not None and info.context and not info.context.text_accepted:
            said = "This server stores no texts (SIGNAAL_SERVE_FEEDBACK_TEXT is 'refuse'). Leave text and spans out."
            raise PydanticCustomError("text_refused", said)
        return text

    @field_validator("note", mode="before")
    @classmethod
    def _note_is_wanted(cls, note: object, info: ValidationInfo[FeedbackLimits]) -> object:
        if note is not None and info.context and not info.context.note_accepted:
            said = "This server stores no notes (SIGNAAL_SERVE_FEEDBACK_NOTE is 'refuse'). Leave the note out."
            raise PydanticCustomError("note_refused", said)
        return note

    @model_validator(mode="after")
    def _spans_fit(self) -> "FeedbackItem":
        if self.spans and self.text is None:
            said = "Spans count the characters of a text: send the text, too, or leave them out."
            raise PydanticCustomError("spans_without_text", said, {"at": ["spans"]})
        for place, span in enumerate(self.spans or ()):
            at: list[str | int] = ["spans", place]
            if not span.start < span.end <= len(self.text or ""):
                raise PydanticCustomError("span_outside", "The span does not lie in the text.", {"at": at})
            if self.labels.get(span.label) != "present":
                said = "The span's label is not 'present' in labels."
                raise PydanticCustomError("span_of_other_label", said, {"at": [*at, "label"]})
        return self


class FeedbackRequest(BaseModel):
    """Findings to store, all or none."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    items: Annotated[list[FeedbackItem], Field(min_length=1, description="One a reviewer and ad.")]

    @model_validator(mode="before")
    @classmethod
    def _shape_is_bounded(cls, data: Any, info: ValidationInfo[FeedbackLimits]) -> Any:
        """Refuse oversized lists and objects before each part of them becomes an error of its own."""
        if not isinstance(data, dict) or info.context is None:
            return data
        items = data["items"] if isinstance(data.get("items"), list) else []
        _check_count(items, info.context.max_ads, ["items"])
        check_width([([], data), *((["items", i], item) for i, item in enumerate(items))])
        for place, item in enumerate(items):
            if isinstance(item, dict):
                _check_count(item.get("labels"), len(info.context.label_ids), ["items", place, "labels"])
                _check_count(item.get("spans"), MOST_SPANS, ["items", place, "spans"])
        return data

    @field_validator("items")
    @classmethod
    def _one_finding_each(cls, items: list[FeedbackItem]) -> list[FeedbackItem]:
        first: dict[tuple[str, str | None], int] = {}
        for place, item in enumerate(items):
            other = first.setdefault((item.id, item.reviewer), place)
            if other != place:
                raise PydanticCustomError(
                    "duplicate_id",
                    "The id and the reviewer are the same as those of items[{other}]; it is not clear which finding holds.",
                    {"other": other, "at": [place, "id"]},
                )
        return items


KNOWN_FIELDS = (*FeedbackRequest.model_fields, *FeedbackItem.model_fields, *FeedbackSpan.model_fields)


def _check_count(things: object, limit: int, at: Sequence[str | int]) -> None:
    if isinstance(things, list | dict) and len(things) > limit:
        said = "There are {count} here; at most {limit} are allowed."
        raise PydanticCustomError("too_many", said, {"count": len(things), "limit": limit, "at": list(at)})
