from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from labeling.accounts.roles import Role
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AdSketch, Audit, Base, Feedback, SuggestedLabel, Suggestion
from labeling.work.adjudicating import resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.retention import erase_ad, purge
from tests.labeling.conftest import NOW, TEXT, add_account, add_ads, set_project

KEPT = {"account", "audit", "project_settings", "sign_in_session", "export"}
"""Tables that hold nothing of any ad."""
BLANK = ("0" * 12, 1, "", {}, None, [], None, None)
"""What is left of a record of feedback but the time when it came in."""


def everything_said(database: Database, imported_at: datetime = NOW) -> None:
    """An ad ``ad-0`` of which every table holds something."""
    set_project(database, overlap=1, retention_days=30)
    add_ads(database, 1)
    ann, ada = add_account(database, "ann"), add_account(database, "ada", Role.ADJUDICATOR)
    draft = Draft(labels={"debt_or_fees": True}, comment="the bus")
    with database.write() as session:
        session.execute(update(Ad).values(imported_at=imported_at))
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        number = assignment.ad_number
        save(session, assignment.id, ann, 0, draft, done=False, now=NOW)
        save(session, assignment.id, ann, 1, draft, done=True, now=NOW)
        resolve(session, "ad-0", ada, 0, draft, NOW)
        session.add_all(
            [
                AdSketch(ad_number=number, sketch=b"sketch"),
                Suggestion(
                    ad_number=number,
                    bundle_digest="d",
                    model="m",
                    labels={},
                    document_type="other",
                    document_type_probability=0.5,
                    scored_at=NOW,
                ),
                SuggestedLabel(ad_number=number, label="debt_or_fees"),
                said_of("ad-0", imported_at),
            ]
        )


def said_of(ad_id: str, received_at: datetime = NOW) -> Feedback:
    return Feedback(
        outbox="0" * 12,
        seq=1,
        ad_id=ad_id,
        labels={"debt_or_fees": "present"},
        document_type="other",
        spans=[{"start": 0, "end": 7, "label": "debt_or_fees"}],
        reviewer="desk-2",
        note="the bus",
        received_at=received_at,
    )


def feedback(database: Database) -> list[tuple[object, ...]]:
    columns = [column for column in Feedback.__table__.columns if column.name != "received_at"]
    with database.read() as session:
        return [tuple(row) for row in session.execute(select(*columns))]


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar() or 0 for name in Base.metadata.tables}


def test_an_erased_ad_is_nowhere_and_the_audit_stays(database: Database) -> None:
    everything_said(database)
    before = counts(database)
    assert all(before[name] for name in before.keys() - KEPT)
    with database.write() as session:
        assert erase_ad(session, "ad-0", None, NOW)
    after = counts(database)
    assert {name for name, count in after.items() if count} == {"account", "audit", "project_settings", "feedback"}
    assert feedback(database) == [BLANK]
    assert after["audit"] == before["audit"] + 1
    with database.read() as session:
        audit = session.scalars(select(Audit)).all()
    assert "ad-0" not in " ".join(f"{row.detail} {row.action}" for row in audit)
    assert audit[-1].action == "erased"


def test_no_byte_of_an_erased_ad_is_left_in_the_files_of_sqlite(sqlite_database: Database, tmp_path: Path) -> None:
    everything_said(sqlite_database)
    words = TEXT.format(0).encode()
    sqlite_database.empty_log()
    assert any(words in path.read_bytes() for path in tmp_path.iterdir())
    with sqlite_database.write() as session:
        erase_ad(session, "ad-0", None, NOW)
    sqlite_database.empty_log()
    assert not any(words in path.read_bytes() or b"ad-0" in path.read_bytes() for path in tmp_path.iterdir())


def test_erasing_what_is_not_there_says_so(database: Database) -> None:
    with database.write() as session:
        assert not erase_ad(session, "none", None, NOW)


def test_feedback_on_an_ad_that_never_came_is_erased_too(database: Database) -> None:
    with database.write() as session:
        session.add(said_of("x"))
    with database.write() as session:
        assert erase_ad(session, "x", None, NOW)
    assert feedback(database) == [BLANK]
    with database.write() as session:
        assert not erase_ad(session, "", None, NOW), "a blank record is nobody's"


def test_history_of_other_ads_stays_locked_after_an_erasure(database: Database) -> None:
    everything_said(database)
    with database.write() as session:
        session.execute(update(Ad).values(slots_left=0))
    add_ads(database, 1, prefix="other")
    with database.write() as session:
        session.execute(update(Account).values(active=True))
        ann = session.scalars(select(Account.id).where(Account.name == "ann")).one()
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(), done=False, now=NOW)
        erase_ad(session, "ad-0", None, NOW)
    assert counts(database)["annotation_version"] == 1
    with pytest.raises(Exception, match="only grows"), database.write() as session:
        session.execute(text("DELETE FROM annotation_version"))


def test_purge_erases_what_is_older_than_the_retention_period(database: Database) -> None:
    everything_said(database, NOW - timedelta(days=30))
    add_ads(database, 2, prefix="new")
    assert purge(database, None, NOW) == ["ad-0"]
    with database.read() as session:
        assert session.scalars(select(Ad.id).order_by(Ad.number)).all() == ["new-0", "new-1"]
        assert session.scalars(select(Audit.action).order_by(Audit.id.desc()).limit(1)).one() == "purged"
    assert feedback(database) == [BLANK]


def test_purge_empties_old_feedback_once(database: Database) -> None:
    set_project(database, retention_days=30)
    with database.write() as session:
        session.add(said_of("x", NOW - timedelta(days=30)))
    assert purge(database, None, NOW) == []
    assert feedback(database) == [BLANK]
    assert purge(database, None, NOW) == []
    with database.read() as session:
        details = session.scalars(select(Audit.detail).where(Audit.action == "purged").order_by(Audit.id)).all()
    assert [detail.split(", ")[1][:1] for detail in details] == ["1", "0"]


def test_without_a_retention_period_nothing_is_purged(database: Database) -> None:
    add_ads(database, 1)
    assert purge(database, None, NOW + timedelta(days=36_500)) == []


def test_a_group_whose_first_ad_goes_is_named_by_the_next(database: Database) -> None:
    add_ads(database, 4)
    with database.write() as session:
        session.execute(update(Ad).where(Ad.number <= 3).values(group_id=1))
        first = session.get_one(Ad, 1).id
    with database.write() as session:
        erase_ad(session, first, None, NOW)
    with database.read() as session:
        assert session.scalars(select(Ad.group_id).order_by(Ad.number)).all() == [2, 2, None]
