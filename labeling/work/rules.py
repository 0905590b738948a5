"""The project's settings in the database, and what changing them does to the ads that are there."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from labeling.project import ProjectSettings
from labeling.store.tables import Ad, AdState, StoredProject
from labeling.work import audit
from labeling.work.settling import settle_waiting

_ONLY_ROW = 1


def load_project(session: Session) -> ProjectSettings:
    """The settings; the defaults while nothing was ever changed."""
    stored = session.get(StoredProject, _ONLY_ROW)
    return ProjectSettings() if stored is None else ProjectSettings.model_validate(stored.settings)


def change_project(session: Session, account_id: str | None, wanted: ProjectSettings, now: datetime) -> None:
    """Store settings. Another overlap opens or closes slots of every ad that is no gold item and not decided."""
    stored = session.get(StoredProject, _ONLY_ROW, with_for_update=True)
    before = load_project(session)
    if stored is None:
        session.add(StoredProject(id=_ONLY_ROW, settings=wanted.model_dump()))
    else:
        stored.settings = wanted.model_dump()
    changed = [name for name in ProjectSettings.model_fields if getattr(before, name) != getattr(wanted, name)]
    audit.record(session, now, account_id, audit.Action.SETTINGS_CHANGED, detail=", ".join(changed))
    if more := wanted.overlap - before.overlap:
        session.flush()
        undecided = Ad.gold.is_(None), Ad.state != AdState.RESOLVED
        session.execute(update(Ad).where(*undecided).values(slots_left=Ad.slots_left + more))
        finished = (AdState.AGREED, AdState.DISPUTED)
        session.execute(update(Ad).where(Ad.slots_left > 0, Ad.state.in_(finished)).values(state=AdState.OPEN))
        settle_waiting(session)


def day_begins(project: ProjectSettings, now: datetime) -> datetime:
    """When the day of ``now`` began in the project's time zone."""
    return now.astimezone(project.zone).replace(hour=0, minute=0, second=0, microsecond=0)
