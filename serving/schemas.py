"""What a request may hold; ``answers.py`` is the other half of the contract.

Limits and label ids are not known when this module is imported (they come from the settings and the loaded model), so
requests are validated with a ``Limits`` as pydantic context. All errors of a request are found in one pass.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError


def is_plain_name(name: str) -> bool:
    """True for what can be nothing but a name: short, ASCII, no white space. Only such input may appear in an error."""
    return len(name) <= 40 and name.isascii() and name.isidentifier()


_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What this server takes: most ads, longest text in code points, and the labels of the loaded model."""

    max_ads: int
    max_characters: int
    label_ids: tuple[str, ...]


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean …?' for the known name most like ``name``, or nothing when none is."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{found[0]}'?" if found else ""


def is_blank(text: str) -> bool:
    """True when nothing is to be seen: only separators, control and zero-width characters, or nothing at all."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def unknown_label(label: str, known: Iterable[str]) -> str:
    """Says that there is no such label, and which one may be meant."""
    # The name is repeated only when it is short and looks like an id: it might be a misplaced text.
    named = f"'{label}'" if is_plain_name(label) else "This"
    return f"{named} is not an indicator of this model.{nearest(label[:60], known)} GET /v1/indicators lists them."


def _known_label(label: str, info: ValidationInfo[Limits]) -> str:
    if info.context is None or label in info.context.label_ids:
        return label
    said = unknown_label(label, info.context.label_ids)
    raise PydanticCustomError("unknown_indicator", "{said}", {"said": said})


def _can_be_scored(text: str, info: ValidationInfo[Limits]) -> str:
    limit = info.context.max_characters if info.context else None
    if limit is not None and len(text) > limit:
        raise PydanticCustomError(
            "text_too_long",
            "The text has {count} characters; at most {limit} are allowed.",
            {"count": len(text), "limit": limit},
        )
    if is_blank(text):
        raise PydanticCustomError("text_blank", "The text is empty or blank; there is nothing to score.")
    return text


def check_width(objects: Iterable[tuple[Sequence[object], Any]]) -> None:
    """Refuse an object with far more fields than the contract, before each field of it becomes an error of its own.

    Args:
        objects: things that may be objects, each with its place in the request.
    """
    for place, thing in objects:
        if isinstance(thing, dict) and len(thing) > 20:
            said = "The object has far more fields than the contract."
            raise PydanticCustomError("too_many_fields", said, {"at": list(place)})


AdId = Annotated[str, Field(min_length=1, max_length=200)]
AdText = Annotated[str, AfterValidator(_can_be_scored)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
KnownLabel = Annotated[str, AfterValidator(_known_label)]


class Ad(BaseModel):
    """One advertisement or post."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: Annotated[AdId, Field(description="Your name for this ad; unique in the request.", examples=["a1"])]
    text: Annotated[
        AdText,
        Field(
            description="The words of the ad, exactly as found; evidence offsets count its characters (code points).",
            examples=["Kitchen help wanted. We keep your passport at the office until the travel costs are paid back."],
        ),
    ]
    language: Annotated[
        LanguageCode | None,
        Field(
            default=None,
            description="ISO 639 code, when you know it; otherwise the language is detected.",
            examples=["en"],
        ),
    ]


class ScoreRequest(BaseModel):
    """Ads to score."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    ads: Annotated[list[Ad], Field(min_length=1, description="The ads to score; answers come in the same order.")]
    indicators: Annotated[
        list[KnownLabel] | None,
        Field(
            default=None,
            min_length=1,
            description="Ids of the indicators and counter-indicators to answer; all when left out.",
            examples=[["debt_or_fees", "document_or_earnings_control"]],
        ),
    ]
    model: Annotated[
        str | None,
        Field(
            default=None,
            min_length=1,
            max_length=100,
            description="Which model: an alias, a version, or the first 8 or more characters of a bundle digest, as in "
            "GET /v1/models; the champion when left out.",
            examples=["champion"],
        ),
    ]
    evidence: Annotated[
        bool, Field(default=True, description="Whether to say which words each indicator was seen in; faster without.")
    ]

    @model_validator(mode="before")
    @classmethod
    def _shape_is_bounded(cls, data: Any, info: ValidationInfo[Limits]) -> Any:
        """Refuse oversized lists and objects before each item of them becomes an error of its own."""
        if not isinstance(data, dict) or info.context is None:
            return data
        ads, limit = data.get("ads"), info.context.max_ads
        if isinstance(ads, list) and len(ads) > limit:
            raise PydanticCustomError(
                "too_many_ads",
                "The request has {count} ads; at most {limit} are allowed. Send the rest in another request.",
                {"count": len(ads), "limit": limit, "at": ["ads"]},
            )
        indicators = data.get("indicators")
        if isinstance(indicators, list) and len(indicators) > len(info.context.label_ids):
            raise PydanticCustomError(
                "too_many_indicators",
                "The list is longer than the {limit} labels that there are.",
                {"limit": len(info.context.label_ids), "at": ["indicators"]},
            )
        check_width([([], data), *((["ads", i], ad) for i, ad in enumerate(ads if isinstance(ads, list) else []))])
        return data

    @field_validator("indicators")
    @classmethod
    def _indicators_differ(cls, indicators: list[str] | None) -> list[str] | None:
        for place, label in enumerate(indicators or []):
            if label in (indicators or [])[:place]:
                raise PydanticCustomError("duplicate_indicator", "'{label}' is listed twice.", {"label": label, "at": [place]})
        return indicators

    @field_validator("ads")
    @classmethod
    def _ids_are_unique(cls, ads: list[Ad]) -> list[Ad]:
        first: dict[str, int] = {}
        for place, ad in enumerate(ads):
            if ad.id in first:
                raise PydanticCustomError(
                    "duplicate_id",
                    "The id is the same as that of ads[{other}]; ids must differ, or answers cannot be told apart.",
                    {"other": first[ad.id], "at": [place, "id"]},
                )
            first[ad.id] = place
        return ads
