"""An opinion on an ad as the review page and the adjudicator send it, and as it is kept."""

from collections.abc import Collection
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from labeling.annotation import Annotation
from labeling.errors import DraftError
from labeling.masking import mask_contacts
from labeling.store.tables import Adjudication, OpinionColumns, StoredAnnotation
from models.example import Span
from models.taxonomy import Taxonomy


class Draft(BaseModel):
    """What is sent. Spans are in code points of the ad's text, end exclusive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, bool] = {}
    document_type: str | None = None
    spans: tuple[Span, ...] = Field(default=(), max_length=500)
    cannot_decide: str | None = Field(default=None, min_length=1, max_length=500)
    comment: str = Field(default="", max_length=4000)
    seconds: float | None = Field(default=None, ge=0, le=86_400)

    def checked(self, text: str, taxonomy: Taxonomy) -> Self:
        """The draft with its spans in order and contact details masked in what was typed.

        Raises:
            DraftError: a label or document type is unknown, or a span is outside the text, empty, double, or of a label
                that is not present.
        """
        problems = [f"'{label[:64]}' is not a label of the taxonomy." for label in self.labels if label not in taxonomy.label_ids]
        if self.document_type is not None and self.document_type not in taxonomy.document_type_ids:
            problems.append(f"The document type must be one of {', '.join(taxonomy.document_type_ids)}.")
        for span in self.spans:
            if not span.start < span.end <= len(text):
                problems.append(f"A span of {span.label[:64]} ({span.start}–{span.end}) does not fit the text ({len(text)}).")
            elif not self.labels.get(span.label, False):
                problems.append(f"A span has the label {span.label[:64]}, which is not judged present.")
        if problems:
            raise DraftError(problems)
        ordered = sorted({(span.start, span.end, span.label) for span in self.spans})
        return self.model_copy(
            update={
                "spans": tuple(Span(start=start, end=end, label=label) for start, end, label in ordered),
                "cannot_decide": self.cannot_decide and mask_contacts(self.cannot_decide),
                "comment": mask_contacts(self.comment),
            }
        )

    def complete(self, taxonomy: Taxonomy, opted_out: Collection[str] = ()) -> Self:
        """As it counts when the reviewer is done: what was not called present is absent, what was opted out of is not
        judged unless it was. Who could not decide judged nothing."""
        if self.cannot_decide is not None:
            return self.model_copy(update={"labels": {}, "spans": (), "document_type": None})
        judged = {i: self.labels.get(i, False) for i in taxonomy.label_ids if i in self.labels or i not in opted_out}
        return self.model_copy(update={"labels": judged})


class StoredOpinion(BaseModel):
    """An opinion that is kept, with its version (1 for the first)."""

    model_config = ConfigDict(frozen=True)

    version: int
    draft: Draft
    saved_at: datetime
    by: str
    """Account id of whoever saved it."""

    @classmethod
    def of_annotation(cls, stored: StoredAnnotation, annotator: str) -> "StoredOpinion":
        return cls(version=stored.version, draft=_draft(stored, stored.seconds), saved_at=stored.saved_at, by=annotator)

    @classmethod
    def of_adjudication(cls, stored: Adjudication) -> "StoredOpinion":
        return cls(version=stored.version, draft=_draft(stored), saved_at=stored.decided_at, by=stored.adjudicator_id)

    def annotation(self, ad_id: str) -> Annotation:
        """As agreement, consensus and export read it."""
        fields = {name: getattr(self.draft, name) for name in Draft.model_fields}
        return Annotation(ad_id=ad_id, annotator=self.by, saved_at=self.saved_at, **fields)


def columns_of(draft: Draft) -> dict[str, object]:
    """The draft as values of ``OpinionColumns``."""
    return draft.model_dump(exclude={"seconds"})


def _draft(stored: OpinionColumns, seconds: float | None = None) -> Draft:
    return Draft(
        labels=stored.labels,
        document_type=stored.document_type,
        spans=tuple(Span(**span) for span in stored.spans),
        cannot_decide=stored.cannot_decide,
        comment=stored.comment,
        seconds=seconds,
    )
