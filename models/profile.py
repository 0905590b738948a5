"""What a model met where it was calibrated: the reference beside which a service can see that its own texts differ.

Counts and rates over the texts of the validation split; no text, no id. A bundle holds it as ``profile.json``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import regex

from models.scores import AdScore
from models.windows import Window

BINS = 10
"""Of calibrated probability, of equal width; the last one includes 1."""
OTHER = "other"
RARE = 0.005
"""Languages of a smaller share than this are counted as ``OTHER``: most are slips of the detector."""

_EMOJI = regex.compile(r"\p{Extended_Pictographic}")


def bin_of(probability: float) -> int:
    """The number of the bin that a probability (0–1) falls in."""
    return min(int(probability * BINS), BINS - 1)


@dataclass(frozen=True, slots=True)
class TextFacts:
    """Counts of one text: characters (code points) and how many are emoji; tokens of its windows and how many are unknown."""

    characters: int
    emoji: int
    tokens: int
    unknown: int

    @classmethod
    def of(cls, text: str, windows: Sequence[Window], unknown_id: int) -> "TextFacts":
        return cls(
            characters=len(text),
            emoji=sum(1 for _ in _EMOJI.finditer(text)),
            tokens=sum(map(len, windows)),
            unknown=sum(window.ids.count(unknown_id) for window in windows),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """``scores``: per label how many texts fell in each bin. Rates are of all tokens and of all characters; ``languages`` are
    shares that sum to 1."""

    texts: int
    scores: dict[str, tuple[int, ...]]
    unknown_token_rate: float
    emoji_rate: float
    mean_characters: float
    languages: dict[str, float]

    @classmethod
    def from_scores(cls, scores: Sequence[AdScore], facts: Sequence[TextFacts]) -> "Profile":
        """The profile of texts, each with what was said of it and its counts.

        Raises:
            ValueError: there is none, or not as many of the one as of the other.
        """
        if not scores or len(scores) != len(facts):
            raise ValueError(f"A profile needs texts, each with its counts; there are {len(scores)} scores, {len(facts)} counts.")
        bins: dict[str, list[int]] = {}
        for score in scores:
            for label, one in (score.indicators | score.counter_indicators).items():
                bins.setdefault(label, [0] * BINS)[bin_of(one.probability)] += 1
        return cls(
            texts=len(scores),
            scores={label: tuple(counts) for label, counts in bins.items()},
            unknown_token_rate=sum(one.unknown for one in facts) / sum(one.tokens for one in facts),
            emoji_rate=sum(one.emoji for one in facts) / max(1, sum(one.characters for one in facts)),
            mean_characters=sum(one.characters for one in facts) / len(facts),
            languages=_shares([score.language.code for score in scores]),
        )

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Profile":
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` when the data is not a profile."""
        scores, languages = data["scores"], data["languages"]
        if not isinstance(scores, dict) or not isinstance(languages, dict):
            raise TypeError("scores or languages is not an object")
        for label, counts in scores.items():
            if len(counts) != BINS or min(counts) < 0:
                raise ValueError(f"{label} has not {BINS} counts")
        if OTHER not in languages:
            raise ValueError(f"languages lacks '{OTHER}'")
        return cls(
            texts=int(data["texts"]),  # type: ignore[call-overload]
            scores={label: tuple(map(int, counts)) for label, counts in scores.items()},
            unknown_token_rate=float(data["unknown_token_rate"]),  # type: ignore[arg-type]
            emoji_rate=float(data["emoji_rate"]),  # type: ignore[arg-type]
            mean_characters=float(data["mean_characters"]),  # type: ignore[arg-type]
            languages={code: float(share) for code, share in languages.items()},
        )


def _shares(codes: Sequence[str]) -> dict[str, float]:
    counts = Counter(codes)
    known = {code: count / len(codes) for code, count in sorted(counts.items()) if count >= RARE * len(codes)}
    rest = len(codes) - sum(counts[code] for code in known)
    return {**known, OTHER: rest / len(codes)}
