from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from labeling.accounts.roles import Role
from labeling.errors import ClosedError, DraftError, NotAllowedError, NotFoundError, StaleVersionError
from labeling.opinion import Draft, StoredOpinion
from labeling.store.database import Database
from labeling.store.tables import Ad, AdjudicationVersion, Audit
from labeling.work.adjudicating import case, disputed, disputed_count, resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment, reopen
from tests.labeling.conftest import NOW, add_account, add_ads, set_project

FEES = Draft(labels={"debt_or_fees": True})
NOTHING = Draft()


def judge(database: Database, annotator: str, draft: Draft) -> int:
    with database.write() as session:
        assignment = next_assignment(session, annotator, NOW)
        assert assignment is not None
        save(session, assignment.id, annotator, 0, draft, done=True, now=NOW)
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
