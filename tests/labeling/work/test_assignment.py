from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from labeling.accounts.roles import Role
from labeling.errors import ClosedError, NotAllowedError, NotFoundError
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, Assignment, Audit, SuggestedLabel
from labeling.work.adjudicating import resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment, own_assignment, reopen, skip
from labeling.work.care import exposure, opt_out, set_daily_limit
from labeling.work.queueing import make_queue
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, set_project


def take(database: Database, annotator: str, now: datetime = NOW) -> tuple[int, str] | None:
    """Assignment and ad id."""
    with database.write() as session:
        assignment = next_assignment(session, annotator, now)
        return assignment and (assignment.id, assignment.ad.id)


def finish(database: Database, assignment: int, annotator: str, now: datetime = NOW, version: int = 0) -> int:
    with database.write() as session:
        return save(session, assignment, annotator, version, Draft(), done=True, now=now)


def read_all(database: Database, annotator: str, now: datetime = NOW) -> list[str]:
    """Read until nothing is left; the ads in order."""
    ads = []
    while (taken := take(database, annotator, now)) is not None:
        finish(database, taken[0], annotator, now)
        ads.append(taken[1])
    return ads


def test_what_is_open_stays_the_next_ad(database: Database) -> None:
    add_ads(database, 5)
    ann = add_account(database, "ann")
    first = take(database, ann)
    assert first is not None
    assert take(database, ann) == first
    finish(database, first[0], ann)
    assert take(database, ann) != first


def test_each_ad_is_read_by_as_many_as_the_overlap_says(database: Database) -> None:
    set_project(database, overlap=2)
    add_ads(database, 6)
    people = [add_account(database, name) for name in ("ann", "bob", "cas")]
    read = [read_all(database, person) for person in people]
    assert sorted(read[0]) == sorted(read[1]) == [f"ad-{n}" for n in range(6)]
    assert read[2] == []


def test_the_queue_goes_by_rank(database: Database) -> None:
    add_ads(database, 5)
    with database.write() as session:
        for ad in session.scalars(select(Ad)):
            ad.rank = -int(ad.id.removeprefix("ad-"))
    assert read_all(database, add_account(database, "ann")) == ["ad-4", "ad-3", "ad-2", "ad-1", "ad-0"]


def test_twenty_reviewers_at_once_never_get_an_ad_too_often(database: Database) -> None:
    set_project(database, overlap=2)
    add_ads(database, 20)
    people = [add_account(database, f"person-{n}") for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        read = list(pool.map(lambda person: read_all(database, person), people))
    assert all(len(set(ads)) == len(ads) for ads in read)
    counts = {ad: sum(ad in ads for ads in read) for ad in (f"ad-{n}" for n in range(20))}
    assert counts == dict.fromkeys(counts, 2)
    with database.read() as session:
        assert set(session.scalars(select(Ad.slots_left))) == {0}


def test_two_tabs_of_one_reviewer_get_the_same_ad(database: Database) -> None:
    add_ads(database, 10)
    ann = add_account(database, "ann")
    with ThreadPoolExecutor(8) as pool:
        taken = set(pool.map(lambda _: take(database, ann), range(8)))
    assert len(taken) == 1


def test_near_duplicates_are_read_once_by_a_reviewer(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 6)
    with database.write() as session:
        session.execute(update(Ad).where(Ad.number <= 4).values(group_id=1))
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    assert len(read_all(database, ann)) == 3
    assert len(read_all(database, bob)) == 1


def test_a_lease_that_ran_out_gives_the_ad_to_another(database: Database) -> None:
    set_project(database, overlap=1, lease_minutes=30)
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    first = take(database, ann)
    assert first is not None
    assert take(database, bob, NOW + timedelta(minutes=30)) is None
    second = take(database, bob, NOW + timedelta(minutes=31))
    assert second is not None
    assert second[1] == first[1]
    with pytest.raises(ClosedError, match="another reviewer has taken it over"):
        finish(database, first[0], ann, NOW + timedelta(minutes=32))
    finish(database, second[0], bob, NOW + timedelta(minutes=33))
    assert take(database, ann, NOW + timedelta(minutes=34)) is None


def test_who_comes_back_late_goes_on_if_nobody_took_the_ad_over(database: Database) -> None:
    set_project(database, overlap=1, lease_minutes=30)
    add_ads(database, 2)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    first = take(database, ann)
    assert first is not None
    later = NOW + timedelta(hours=1)
    other = take(database, bob, later)  # ends the lease; takes one of the two ads
    assert other is not None
    again = take(database, ann, later)
    if other[1] == first[1]:
        assert again is not None
        assert again[1] != first[1]
    else:
        assert again == first
        finish(database, first[0], ann, later)
    with database.read() as session:
        assert session.scalar(select(func.min(Ad.slots_left))) == 0


def test_saving_late_takes_the_slot_again(database: Database) -> None:
    set_project(database, overlap=1, lease_minutes=30)
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    mine = take(database, ann)
    assert mine is not None
    with database.write() as session:
        session.execute(update(Account).where(Account.id == bob).values(opt_outs=["minor_age_cue"]))
        session.add(SuggestedLabel(ad_number=1, label="minor_age_cue"))
    later = NOW + timedelta(hours=1)
    assert take(database, bob, later) is None  # the lease is over now
    finish(database, mine[0], ann, later)
    with database.read() as session:
        assert session.scalars(select(Ad.slots_left)).one() == 0


def test_what_is_skipped_goes_to_another_and_never_comes_back(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    taken = take(database, ann)
    assert taken is not None
    with database.write() as session:
        skip(session, taken[0], ann, NOW)
    assert take(database, ann) is None
    assert take(database, bob) is not None
    with pytest.raises(ClosedError, match="skipped"), database.write() as session:
        skip(session, taken[0], ann, NOW)


def test_done_can_be_undone(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 2)
    ann = add_account(database, "ann")
    taken = take(database, ann)
    assert taken is not None
    finish(database, taken[0], ann)
    with pytest.raises(ClosedError, match="done"):
        finish(database, taken[0], ann, version=1)
    with database.write() as session:
        reopen(session, taken[0], ann, NOW)
    assert take(database, ann) == taken
    assert finish(database, taken[0], ann, version=1) == 2


def test_anothers_assignment_cannot_be_touched(database: Database) -> None:
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    taken = take(database, ann)
    assert taken is not None
    for act in (skip, reopen):
        with pytest.raises(NotAllowedError), database.write() as session:
            act(session, taken[0], bob, NOW)
    with pytest.raises(NotAllowedError), database.read() as session:
        own_assignment(session, taken[0], bob)
    with pytest.raises(NotFoundError), database.read() as session:
        own_assignment(session, 4711, ann)


def test_gold_items_are_mixed_in_and_take_no_slot(database: Database) -> None:
    set_project(database, overlap=1, gold_share=0.5, daily_limit=1000)
    add_ads(database, 20)
    add_ads(database, 3, gold=True, prefix="gold")
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    read = read_all(database, ann)
    assert len([ad for ad in read if ad.startswith("ad-")]) == 20
    assert [ad for ad in read if ad.startswith("gold-")] == ["gold-0", "gold-1", "gold-2"]
    assert set(read_all(database, bob)) <= {"gold-0", "gold-1", "gold-2"}


def test_without_a_gold_share_none_is_given(database: Database) -> None:
    set_project(database, overlap=1, gold_share=0.0)
    add_ads(database, 3, gold=True, prefix="gold")
    assert read_all(database, add_account(database, "ann")) == []


def test_the_limit_of_a_day_ends_the_day(database: Database) -> None:
    set_project(database, overlap=1, daily_limit=3, timezone="Europe/Amsterdam")
    add_ads(database, 10)
    ann = add_account(database, "ann")
    assert len(read_all(database, ann)) == 3
    midnight = datetime.fromisoformat("2026-11-29T00:00:00+01:00")
    assert take(database, ann, midnight - timedelta(seconds=1)) is None
    assert take(database, ann, midnight) is not None


def test_ones_own_limit_can_only_be_lower(database: Database) -> None:
    set_project(database, overlap=1, daily_limit=5)
    add_ads(database, 10)
    ann = add_account(database, "ann")
    for own, expected in ((2, 2), (400, 3), (None, 0)):
        with database.write() as session:
            set_daily_limit(session, session.get_one(Account, ann), own, NOW)
        assert len(read_all(database, ann)) == expected


def test_a_pause_is_proposed_after_many_ads_in_a_row(database: Database) -> None:
    set_project(database, overlap=1, pause_after=4, break_minutes=10)
    add_ads(database, 20)
    ann = add_account(database, "ann")
    due = []
    for turn in range(8):
        now = NOW + timedelta(minutes=2 * turn + (30 if turn >= 6 else 0))
        taken = take(database, ann, now)
        assert taken is not None
        finish(database, taken[0], ann, now)
        with database.read() as session:
            due.append(exposure(session, session.get_one(Account, ann), now).pause)
    assert due == [False, False, False, True, True, True, False, False]


def test_ads_with_an_opted_out_label_go_to_others(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 3)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    with database.write() as session:
        session.add(SuggestedLabel(ad_number=2, label="minor_age_cue"))
        opt_out(session, session.get_one(Account, ann), ["minor_age_cue"], packaged_taxonomy(), NOW)
    left = {"ad-0", "ad-1", "ad-2"} - set(read_all(database, ann))
    with database.read() as session:
        assert left == {session.get_one(Ad, 2).id}
    assert set(read_all(database, bob)) == left


def test_another_overlap_opens_and_closes_slots(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 2)
    ann, bob, cas = (add_account(database, name) for name in ("ann", "bob", "cas"))
    assert len(read_all(database, ann)) == 2
    assert read_all(database, bob) == []
    set_project(database, overlap=2)
    assert len(read_all(database, bob)) == 2
    set_project(database, overlap=3)
    with database.read() as session:
        assert set(session.scalars(select(Ad.state))) == {"open"}
    set_project(database, overlap=1)
    assert read_all(database, cas) == []
    with database.read() as session:
        assert set(session.scalars(select(Ad.state))) == {"agreed"}


def test_decided_ads_want_no_more_readers_when_the_overlap_is_raised(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 3)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    assert len(read_all(database, ann)) == 3
    with database.write() as session:
        for ad_id in ("ad-0", "ad-1"):
            resolve(session, ad_id, ada, 0, Draft(), NOW)
    set_project(database, overlap=2, mixing={"random": 1.0})
    assert make_queue(database, Random(1), NOW) == 1
    assert read_all(database, bob) == ["ad-2"]
    with database.write() as session:  # as a version before this one left it
        session.execute(update(Ad).values(slots_left=1))
    assert make_queue(database, Random(1), NOW) == 1
    assert read_all(database, add_account(database, "cas")) == ["ad-2"]


def opened_again(database: Database) -> tuple[int, str, str]:
    """The assignment of ann, who has opened her finished opinion again; ann and bob."""
    set_project(database, overlap=1, lease_minutes=30)
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    taken = take(database, ann)
    assert taken is not None
    finish(database, taken[0], ann)
    with database.write() as session:
        reopen(session, taken[0], ann, NOW)
    return taken[0], ann, bob


def test_an_opinion_that_is_opened_again_and_left_counts_as_it_was(database: Database) -> None:
    number, _, bob = opened_again(database)
    assert take(database, bob, NOW + timedelta(hours=1)) is None, "the slot is ann's"
    with database.read() as session:
        assignment = session.get_one(Assignment, number)
        assert (assignment.state, assignment.done_at, assignment.ad.state) == ("done", NOW, "agreed")
        assert session.scalars(select(Audit.action).order_by(Audit.id.desc()).limit(1)).one() == "done"


def test_an_opinion_that_was_changed_and_left_goes_to_another(database: Database) -> None:
    assignment, ann, bob = opened_again(database)
    with database.write() as session:
        save(session, assignment, ann, 1, Draft(comment="no"), done=False, now=NOW)
    assert take(database, bob, NOW + timedelta(hours=1)) is not None


@pytest.mark.parametrize(("gold", "queue"), [(False, "ix_ad_queue"), (True, "ix_ad_gold")])
def test_finding_the_next_ad_reads_no_table_from_end_to_end(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, gold: bool, queue: str
) -> None:
    add_ads(sqlite_database, 3, gold=gold)
    set_project(sqlite_database, gold_share=0.5 if gold else 0.0)
    monkeypatch.setattr("labeling.work.assignment._chance", SimpleNamespace(random=lambda: 0.0))
    ann = add_account(sqlite_database, "ann")
    asked: list[tuple[str, Any]] = []
    with sqlite_database.write() as session:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, values, *_: asked.append((statement, values)))
        assert next_assignment(session, ann, NOW) is not None
        selects = [(statement, values) for statement, values in asked if statement.startswith("SELECT")]
        connection = session.connection()
        plans = [
            row[3]
            for statement, values in selects
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert any(queue in step for step in plans)
    assert any("ix_assignment_lease" in step for step in plans)
    assert [step for step in plans if step.startswith("SCAN") and queue not in step and "CONSTANT" not in step] == []


def test_a_closed_account_gets_no_ad(database: Database) -> None:
    add_ads(database, 1)
    ann = add_account(database, "ann")
    with database.write() as session:
        session.get_one(Account, ann).active = False
    with pytest.raises(NotAllowedError):
        take(database, ann)


def test_an_assignment_comes_with_its_ad(database: Database) -> None:
    add_ads(database, 1)
    ann = add_account(database, "ann")
    with database.write() as session:
        assignment = next_assignment(session, ann, NOW)
    assert isinstance(assignment, Assignment)
    assert assignment.ad.text.startswith("Pickers wanted")
    assert assignment.annotation is None
