"""The final labels of all ads that are settled, as an export."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labeling.consensus import consensus
from labeling.errors import UnsettledError
from labeling.export import ExportManifest, FinalExample, final_example, write_export
from labeling.store.database import Database
from labeling.store.tables import Ad, AdState, AssignmentState, Export
from labeling.work import audit
from labeling.work.export_places import remember
from labeling.work.judged_ads import decision_on, judged_ads, opinions_on
from labeling.work.passed_over import passed_over_count
from labeling.work.rules import load_project
from models.taxonomy import Taxonomy, packaged_taxonomy

_NOTED = {"blind", "overlap", "gold_share", "mixing"}
"""Settings of the project that bear on what its labels are worth."""


@dataclass(slots=True)
class Finals:
    """Examples of ads that are settled, and why others have none: reason → ads."""

    examples: list[FinalExample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class MadeExport:
    """An export that is on disk."""

    manifest: ExportManifest
    left_out: Counter[str]


def export_finals(database: Database, folder: Path, account_id: str | None, now: datetime) -> MadeExport:
    """Write an export below ``folder`` and note it.

    Raises:
        ExportError: nothing is settled, or the folder cannot be written.
    """
    taxonomy = packaged_taxonomy()
    with database.read() as session:
        settings = load_project(session).model_dump(mode="json", include=_NOTED)
        found = finals(session, taxonomy)
    manifest = write_export(found.examples, folder, taxonomy=taxonomy, settings=settings)
    with database.write() as session:
        if session.get(Export, manifest.digest) is None:
            noted = settings | {"folder": str(folder)}
            session.add(Export(digest=manifest.digest, made_at=now, account_id=account_id, ads=manifest.examples, settings=noted))
            session.flush()
        remember(session, manifest.digest, folder)
        audit.record(session, now, account_id, audit.Action.EXPORTED, detail=f"{manifest.examples} ads, {manifest.digest[:16]}")
    return MadeExport(manifest, found.left_out)


def finals(session: Session, taxonomy: Taxonomy) -> Finals:
    """What all reviewers of an ad agree on, or its adjudicator decided. Gold items are left out: their answers were known."""
    counted = select(Ad.state, func.count()).where(Ad.gold.is_(None)).group_by(Ad.state)
    ads, passed_over = Counter(dict(session.execute(counted).tuples().all())), passed_over_count(session)
    waiting = {
        "that wait for reviewers": ads[AdState.OPEN] - passed_over,
        "that no annotator is left to read; an adjudicator, an admin or a new account can": passed_over,
        "that wait for an adjudicator": ads[AdState.DISPUTED],
    }
    found = Finals(left_out=Counter({reason: count for reason, count in waiting.items() if count}))
    for ad in judged_ads(session, Ad.state.in_((AdState.AGREED, AdState.RESOLVED))):
        try:
            found.examples.append(_example(ad, taxonomy))
        except UnsettledError as error:
            found.left_out[error.reason] += 1
    return found


def _example(ad: Ad, taxonomy: Taxonomy) -> FinalExample:
    done = [assignment for assignment in ad.assignments if assignment.state == AssignmentState.DONE]
    return final_example(
        consensus(opinions_on(ad)),
        decision_on(ad),
        text=ad.text,
        language=ad.language,
        group=None if ad.group_id is None else str(ad.group_id),
        taxonomy=taxonomy,
        source=ad.source,
        suggested_by={one.account_id: one.suggested_by for one in done if one.suggested_by is not None},
    )
