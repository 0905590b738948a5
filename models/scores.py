"""What a scorer says of one ad. Plain data; the serving room turns it into JSON, training into figures."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The decision for one label. ``uncertain`` means: between the thresholds, a person must look."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class EvidenceSpan:
    """The words ``text[start:end]`` of the ORIGINAL text (code points, end exclusive) that a label looked at."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Calibrated probability (0–1), decision, and the evidence, which is empty where the status is ``absent``."""

    probability: float
    status: Status
    evidence: tuple[EvidenceSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Language:
    """ISO 639-1 code (``und`` when unknown), the detector's confidence (1.0 for a caller's hint), and whether the model
    was evaluated on that language."""

    code: str
    confidence: float
    evaluated: bool


@dataclass(frozen=True, slots=True)
class AdScore:
    """Everything said of one ad; the dictionaries are keyed by label id, in taxonomy order."""

    language: Language
    document_type: str
    document_type_probability: float
    indicators: dict[str, LabelScore]
    counter_indicators: dict[str, LabelScore]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model exactly gave a score. ``bundle_digest`` is the SHA-256 of the bundle's manifest."""

    name: str
    version: str
    bundle_digest: str
    run_id: str | None
    taxonomy_version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} (bundle {self.bundle_digest[:12]})"
