from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from labeling.accounts.roles import Role
from labeling.errors import ClosedError, DraftError, NotAllowedError, NotFoundError, StaleVersionError
from labeling.opinion import Draft, StoredOpinion
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AdjudicationVersion, Audit
from labeling.work.adjudicating import case, disputed, disputed_count, resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment, reopen
from labeling.work.care import exposure, may_compare
from tests.labeling.conftest import NOW, add_account, add_ads, set_project

FEES = Draft(labels={"debt_or_fees": True})
NOTHING = Draft()


def judge(database: Database, annotator: str, draft: Draft, now: datetime = NOW) -> int:
    with database.write() as session:
        assignment = next_assignment(session, annotator, now)
        assert assignment is not None
        save(session, assignment.id, annotator, 0, draft, done=True, now=now)
        return assignment.id


def decide(database: Database, adjudicator: str, version: int, draft: Draft = FEES, ad_id: str = "ad-0") -> int:
    with database.write() as session:
        return resolve(session, ad_id, adjudicator, version, draft, NOW)


def state(database: Database) -> str:
    with database.read() as session:
        return session.scalars(select(Ad.state)).one()


@pytest.fixture
def judges(database: Database) -> tuple[str, str, str]:
    set_project(database, overlap=2)
    add_ads(database, 1)
    return add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)


def test_an_ad_on_which_two_disagree_waits_for_a_decision(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    judge(database, ann, FEES)
    assert state(database) == "open"
    judge(database, bob, NOTHING)
    assert state(database) == "disputed"
    with database.write() as session:
        assert [ad.id for ad in disputed(session)] == ["ad-0"]
        shown = case(session, "ad-0", ada, NOW)
        assert [(o.by, o.draft.labels["debt_or_fees"]) for o in shown.opinions] == [(ann, True), (bob, False)]
        assert shown.decision is None
    assert decide(database, ada, 0) == 1
    with database.write() as session:
        assert disputed_count(session) == 0
        decision = case(session, "ad-0", ada, NOW).decision
        assert decision is not None
        assert (decision.by, decision.draft.labels["debt_or_fees"], decision.version) == (ada, True, 1)
    assert state(database) == "resolved"


def test_agreement_needs_no_decision_but_may_get_one(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    judge(database, ann, FEES)
    judge(database, bob, FEES)
    assert state(database) == "agreed"
    decide(database, ada, 0)
    assert state(database) == "resolved"


def test_two_who_finish_at_once_are_both_seen(database: Database, judges: tuple[str, str, str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda who: judge(database, *who), [(judges[0], FEES), (judges[1], NOTHING)]))
    assert state(database) == "disputed"


def test_undoing_an_opinion_takes_the_case_back(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    assignment = judge(database, ann, FEES)
    judge(database, bob, NOTHING)
    with database.write() as session:
        reopen(session, assignment, ann, NOW)
    assert state(database) == "open"
    with database.write() as session:
        save(session, assignment, ann, 1, NOTHING, done=True, now=NOW)
    assert state(database) == "agreed"
    decide(database, ada, 0)
    with pytest.raises(ClosedError, match="decided by an adjudicator"), database.write() as session:
        reopen(session, assignment, ann, NOW)


def test_a_case_is_closed_while_opinions_are_missing(database: Database, judges: tuple[str, str, str]) -> None:
    ann, _, ada = judges
    judge(database, ann, FEES)
    with pytest.raises(ClosedError), database.write() as session:
        case(session, "ad-0", ada, NOW)
    with pytest.raises(ClosedError):
        decide(database, ada, 0)


def test_an_annotator_neither_sees_nor_decides_a_case(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, _ = judges
    judge(database, ann, FEES)
    judge(database, bob, NOTHING)
    with pytest.raises(NotAllowedError), database.write() as session:
        case(session, "ad-0", ann, NOW)
    with pytest.raises(NotAllowedError):
        decide(database, ann, 0)


def test_a_decision_made_from_an_older_one_is_refused(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    judge(database, ann, FEES)
    judge(database, bob, NOTHING)
    decide(database, ada, 0)
    with pytest.raises(StaleVersionError) as refused:
        decide(database, ada, 0, NOTHING)
    assert isinstance(refused.value.stored, StoredOpinion)
    assert refused.value.stored.draft.labels["debt_or_fees"]
    assert decide(database, ada, 1, NOTHING) == 2
    with database.read() as session:
        history = session.scalars(select(AdjudicationVersion).order_by(AdjudicationVersion.version)).all()
        assert [h.labels["debt_or_fees"] for h in history] == [True, False]
        actions = session.scalars(select(Audit.detail).where(Audit.action == "resolved").order_by(Audit.id)).all()
    assert actions == ["version 1", "version 2"]


def test_a_decision_keeps_the_rules_of_an_opinion(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    judge(database, ann, FEES)
    judge(database, bob, NOTHING)
    with pytest.raises(DraftError):
        decide(database, ada, 0, Draft(labels={"nonsense": True}))
    with pytest.raises(NotFoundError):
        decide(database, ada, 0, ad_id="none")
    assert state(database) == "disputed"


def compare(database: Database, adjudicator: str, ad_id: str = "ad-0") -> None:
    with database.write() as session:
        case(session, ad_id, adjudicator, NOW)


def test_who_has_seen_the_other_opinions_cannot_change_their_own(database: Database, judges: tuple[str, str, str]) -> None:
    ann, _, ada = judges
    own = judge(database, ada, FEES)
    others = judge(database, ann, NOTHING)
    compare(database, ada)
    with pytest.raises(ClosedError, match="seen the other opinions"), database.write() as session:
        reopen(session, own, ada, NOW)
    assert state(database) == "disputed"
    with database.write() as session:
        reopen(session, others, ann, NOW)  # who has not seen them may


def test_who_may_still_change_an_opinion_is_shown_no_other(database: Database, judges: tuple[str, str, str]) -> None:
    ann, _, ada = judges
    own = judge(database, ada, FEES)
    judge(database, ann, NOTHING)
    with database.write() as session:
        reopen(session, own, ada, NOW)
    with pytest.raises(ClosedError, match="missing"):
        compare(database, ada)


def test_who_has_seen_the_opinions_on_an_ad_is_not_given_it_when_more_readers_are_wanted(
    database: Database, judges: tuple[str, str, str]
) -> None:
    ann, bob, ada = judges
    judge(database, ann, FEES)
    judge(database, bob, NOTHING)
    compare(database, ada)
    add_ads(database, 1, prefix="copy")
    with database.write() as session:
        session.execute(update(Ad).values(group_id=1))
    set_project(database, overlap=3)
    cas = add_account(database, "cas")
    with database.write() as session:
        assert next_assignment(session, ada, NOW) is None, "neither the ad nor its near-duplicate"
        assert next_assignment(session, cas, NOW) is not None


def test_what_lapsed_does_not_come_back_to_who_has_seen_the_opinions(database: Database, judges: tuple[str, str, str]) -> None:
    ann, bob, ada = judges
    with database.write() as session:
        assignment = next_assignment(session, ada, NOW)
        assert assignment is not None
        own = assignment.id
    later = NOW + timedelta(hours=2)
    for who, said in ((ann, FEES), (bob, NOTHING)):
        judge(database, who, said, later)
    compare(database, ada)
    set_project(database, overlap=3)
    with database.write() as session:
        assert next_assignment(session, ada, later) is None
    with pytest.raises(ClosedError, match="seen the other opinions"), database.write() as session:
        save(session, own, ada, 0, FEES, done=True, now=later)


def test_opinions_compared_count_as_ads_read_each_once(database: Database) -> None:
    set_project(database, overlap=2, daily_limit=3, pause_after=2)
    add_ads(database, 3)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    for _ in range(3):
        judge(database, ann, FEES)
        judge(database, bob, NOTHING)
    seen = []
    for ad_id in ("ad-0", "ad-0", "ad-1"):
        compare(database, ada, ad_id)
        with database.read() as session:
            cared = exposure(session, session.get_one(Account, ada), NOW)
            seen.append((cared.shown_today, cared.remaining_today, cared.pause))
    assert seen == [(1, 2, False), (1, 2, False), (2, 1, True)]
    set_project(database, overlap=2, daily_limit=2)
    with database.read() as session:
        own, numbers = session.get_one(Account, ada), {ad.id: ad.number for ad in session.scalars(select(Ad))}
        allowed = {ad_id: may_compare(session, own, numbers[ad_id], NOW) for ad_id in ("ad-0", "ad-1", "ad-2")}
        assert allowed == {"ad-0": True, "ad-1": True, "ad-2": False}
        assert may_compare(session, own, numbers["ad-2"], NOW + timedelta(days=1))
