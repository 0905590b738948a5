"""What one annotator said of one ad, as data: from the review page to agreement, consensus and export.

A label is judged present or absent, or it is not judged at all (the annotator opted out of it): then it is not in
``labels``, and nothing that counts opinions counts this one.
"""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.example import Span


class Annotation(BaseModel):
    """One annotator's opinion of one ad."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ad_id: str = Field(min_length=1)
    annotator: str = Field(min_length=1)
    """The account's id, never a name."""
    labels: dict[str, bool] = {}
    """Label id to present or not; a label that is not listed was not judged."""
    document_type: str | None = None
    spans: tuple[Span, ...] = ()
    """Evidence in code points of the ad's text, end exclusive; only for labels that are present."""
    cannot_decide: str | None = None
    """The reason, when the reviewer could not decide; the labels then count for nothing."""
    comment: str = ""
    seconds: float | None = Field(default=None, ge=0)
    """Time spent on the ad."""
    saved_at: datetime | None = None
    """When it was last saved, with its time zone; what drift is plotted over."""

    @model_validator(mode="after")
    def _spans_are_of_present_labels(self) -> Self:
        for span in self.spans:
            if span.end <= span.start:
                raise ValueError(f"span {span.start}–{span.end} is empty; an end lies after its start")
            if not self.labels.get(span.label, False):
                raise ValueError(f"a span has the label {span.label!r}, which is not judged present")
        return self

    @property
    def decided(self) -> bool:
        """Whether the labels count as an opinion."""
        return self.cannot_decide is None

    @property
    def present(self) -> tuple[str, ...]:
        """The labels judged present, in order of id."""
        return tuple(sorted(label for label, there in self.labels.items() if there))

    def spans_of(self, label: str) -> tuple[Span, ...]:
        """The evidence for one label, in order of place."""
        return tuple(sorted((s for s in self.spans if s.label == label), key=lambda s: (s.start, s.end)))
