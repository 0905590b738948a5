"""The tables of the labelling room.

An ad has the caller's ``id`` and a ``number`` of ours. Everything refers to the number, the audit too, so that erasing an ad
leaves nothing of its id behind although the audit cannot be changed; numbers are never used twice.

``Ad.slots_left`` is how many reviewers may still take the ad: overlap less those who have it open or done. It is kept in the
row, so that taking an ad is one locked row and the queue is one partial index, whatever the number of ads.

History (``AnnotationVersion``, ``AdjudicationVersion``) and ``Audit`` only grow: triggers of the migration refuse UPDATE, and
DELETE too, but for the history of an ad with ``erasing`` set.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from labeling.store.columns import Json, Moment

AccountId = String(12)
_COMPARED = "action = 'opinions compared'"


class AdState(StrEnum):
    """How far an ad is. ``open``: opinions are missing; ``agreed`` and ``disputed``: all are there; ``resolved``: adjudicated."""

    OPEN = "open"
    AGREED = "agreed"
    DISPUTED = "disputed"
    RESOLVED = "resolved"


class AssignmentState(StrEnum):
    """``lapsed``: the lease ran out and the ad may be with another reviewer now; the draft is kept."""

    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"
    LAPSED = "lapsed"


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: Moment,
        dict[str, Any]: Json,
        dict[str, bool]: Json,
        list[dict[str, Any]]: Json,
        list[str]: Json,
    }


class Account(Base):
    """A person who signs in. ``name`` is what they type; a pseudonym will do."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(AccountId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(12))
    active: Mapped[bool]
    language: Mapped[str] = mapped_column(String(5))
    """Of the pages: ``en`` or ``nl``."""
    opt_outs: Mapped[list[str]]
    """Labels that this person does not want to judge."""
    daily_limit: Mapped[int | None]
    """Ads a day; None: the project's."""
    failed_sign_ins: Mapped[int]
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SignInSession(Base):
    """A browser that is signed in. Only the SHA-256 of its token is kept."""

    __tablename__ = "sign_in_session"

    token_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    account: Mapped[Account] = relationship(lazy="joined")


class StoredProject(Base):
    """The one row of project settings; ``labeling.work.rules`` reads it."""

    __tablename__ = "project_settings"

    id: Mapped[int] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]


class Ad(Base):
    """An ad to be labelled."""

    __tablename__ = "ad"
    __table_args__ = (
        Index("ix_ad_queue", "rank", sqlite_where=text("slots_left > 0"), postgresql_where=text("slots_left > 0")),
        Index("ix_ad_gold", "number", sqlite_where=text("gold IS NOT NULL"), postgresql_where=text("gold IS NOT NULL")),
        Index("ix_ad_progress", "state", "language", sqlite_where=text("gold IS NULL"), postgresql_where=text("gold IS NULL")),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(200), unique=True)
    text: Mapped[str] = mapped_column(Text)
    """Contact details masked."""
    language: Mapped[str] = mapped_column(String(8))
    source: Mapped[str] = mapped_column(String(100))
    """Name of the file, or ``feedback:OUTBOX``."""
    group_id: Mapped[int | None] = mapped_column(index=True)
    """Number of the first ad of its near-duplicates; None for an ad that is like no other."""
    rank: Mapped[int]
    """Place in the queue, the lowest first."""
    slots_left: Mapped[int]
    """Reviewers who may still take it; 0 for a gold item."""
    state: Mapped[str] = mapped_column(String(10), index=True)
    gold: Mapped[dict[str, Any] | None]
    """The known answer of a gold item (labels, document_type, spans); None for any other ad."""
    erasing: Mapped[bool]
    """Set in the transaction that erases the ad."""
    imported_at: Mapped[datetime] = mapped_column(index=True)

    suggestion: Mapped["Suggestion | None"] = relationship(back_populates="ad")
    assignments: Mapped[list["Assignment"]] = relationship(back_populates="ad", order_by="Assignment.id")
    adjudication: Mapped["Adjudication | None"] = relationship(back_populates="ad")


class Suggestion(Base):
    """What a local model says of an ad."""

    __tablename__ = "suggestion"

    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), primary_key=True, autoincrement=False)
    bundle_digest: Mapped[str] = mapped_column(String(64), index=True)
    model: Mapped[str] = mapped_column(String(100))
    """Name and version."""
    labels: Mapped[dict[str, Any]]
    """label → ``{"probability", "status", "spans": [{"start", "end"}]}``; spans are in code points."""
    document_type: Mapped[str] = mapped_column(String(40))
    document_type_probability: Mapped[float]
    scored_at: Mapped[datetime]

    ad: Mapped[Ad] = relationship(back_populates="suggestion")


class SuggestedLabel(Base):
    """A label that the model does not call absent, so that opt-outs can be kept by an index."""

    __tablename__ = "suggested_label"

    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)


class AdSketch(Base):
    """What finds near-duplicates of an ad (``labeling.near_duplicates``); kept, so that later ads are compared with earlier ones
    without reading these again."""

    __tablename__ = "ad_sketch"

    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), primary_key=True, autoincrement=False)
    sketch: Mapped[bytes]


class Feedback(Base):
    """What a user of the scoring API said of an ad. The ad may not be here: then its text was never sent.

    What was erased leaves a blank row (``ad_id`` is empty): that record was read, and is not read again."""

    __tablename__ = "feedback"

    outbox: Mapped[str] = mapped_column(String(12), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ad_id: Mapped[str] = mapped_column(String(200), index=True)
    labels: Mapped[dict[str, Any]]
    """label → present, absent or unsure."""
    document_type: Mapped[str | None] = mapped_column(String(40))
    spans: Mapped[list[dict[str, Any]]]
    reviewer: Mapped[str | None] = mapped_column(String(64))
    note: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime]


class Assignment(Base):
    """One reviewer's turn at one ad."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("account_id", "ad_number"),
        Index(
            "ix_assignment_lease", "leased_until", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")
        ),
        Index("ix_assignment_shown", "account_id", "assigned_at"),
        Index("ix_assignment_state", "account_id", "state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), index=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    state: Mapped[str] = mapped_column(String(8))
    gold: Mapped[bool]
    """Whether the ad was a gold item when it was assigned; such a turn takes no slot."""
    assigned_at: Mapped[datetime]
    leased_until: Mapped[datetime]
    done_at: Mapped[datetime | None]
    suggested_by: Mapped[str | None] = mapped_column(String(64))
    """Digest of the bundle whose suggestions its reviewer was shown, the last one; None: they read without."""

    ad: Mapped[Ad] = relationship(back_populates="assignments")
    account: Mapped[Account] = relationship()
    annotation: Mapped["StoredAnnotation | None"] = relationship(back_populates="assignment")


class OpinionColumns:
    """The columns of an opinion on an ad, whoever has it."""

    labels: Mapped[dict[str, bool]]
    """label → present; a label that is not listed was not judged."""
    document_type: Mapped[str | None] = mapped_column(String(40))
    spans: Mapped[list[dict[str, Any]]]
    """``{"start", "end", "label"}`` in code points."""
    cannot_decide: Mapped[str | None] = mapped_column(String(500))
    comment: Mapped[str] = mapped_column(Text)


class StoredAnnotation(OpinionColumns, Base):
    """A reviewer's opinion as it is now."""

    __tablename__ = "annotation"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), primary_key=True, autoincrement=False)
    version: Mapped[int]
    seconds: Mapped[float | None]
    saved_at: Mapped[datetime]

    assignment: Mapped[Assignment] = relationship(back_populates="annotation")


class AnnotationVersion(OpinionColumns, Base):
    """Every saved state of an annotation; only grows."""

    __tablename__ = "annotation_version"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seconds: Mapped[float | None]
    done: Mapped[bool]
    saved_at: Mapped[datetime]


class Adjudication(OpinionColumns, Base):
    """The decision on an ad on which reviewers disagreed, as it is now."""

    __tablename__ = "adjudication"

    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), primary_key=True, autoincrement=False)
    adjudicator_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    version: Mapped[int]
    decided_at: Mapped[datetime]

    ad: Mapped[Ad] = relationship(back_populates="adjudication")
    adjudicator: Mapped[Account] = relationship()


class AdjudicationVersion(OpinionColumns, Base):
    """Every decision on an ad; only grows."""

    __tablename__ = "adjudication_version"

    ad_number: Mapped[int] = mapped_column(ForeignKey("ad.number"), primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    adjudicator_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    decided_at: Mapped[datetime]


class Audit(Base):
    """Who did what with which ad, and when. Holds no text and no ad id; only grows."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_compared", "account_id", "at", sqlite_where=text(_COMPARED), postgresql_where=text(_COMPARED)),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    account_id: Mapped[str | None] = mapped_column(AccountId)
    """None for a command of the console, and for what happens by itself."""
    action: Mapped[str] = mapped_column(String(24))
    ad_number: Mapped[int | None] = mapped_column(index=True)
    detail: Mapped[str] = mapped_column(String(200))


class Export(Base):
    """An export of labels that was made."""

    __tablename__ = "export"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    made_at: Mapped[datetime]
    account_id: Mapped[str | None] = mapped_column(AccountId)
    ads: Mapped[int]
    settings: Mapped[dict[str, Any]]
