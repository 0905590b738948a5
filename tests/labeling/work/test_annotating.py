from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from labeling.errors import DraftError, NotAllowedError, StaleVersionError
from labeling.opinion import Draft, StoredOpinion
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AnnotationVersion, Audit, StoredAnnotation
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from models.example import Span
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, set_project

FEES = Draft(
    labels={"debt_or_fees": True},
    document_type="recruitment_post",
    spans=(Span(start=33, end=54, label="debt_or_fees"),),
    comment="clear",
    seconds=12.5,
)


def take(database: Database, annotator: str) -> int:
    with database.write() as session:
        assignment = next_assignment(session, annotator, NOW)
        assert assignment is not None
        return assignment.id


def keep(database: Database, assignment: int, annotator: str, version: int, draft: Draft = FEES, *, done: bool = False) -> int:
    with database.write() as session:
        return save(session, assignment, annotator, version, draft, done=done, now=NOW)


@pytest.fixture
def ann(database: Database) -> str:
    set_project(database, overlap=1)
    add_ads(database, 2)
    return add_account(database, "ann")


def test_a_draft_is_kept_as_it_is_and_done_judges_the_rest(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    assert keep(database, assignment, ann, 0) == 1
    with database.read() as session:
        stored = session.get_one(StoredAnnotation, assignment)
        assert StoredOpinion.of_annotation(stored, ann).draft == FEES
    assert keep(database, assignment, ann, 1, done=True) == 2
    with database.read() as session:
        stored = session.get_one(StoredAnnotation, assignment)
        assert stored.labels == {label: label == "debt_or_fees" for label in packaged_taxonomy().label_ids}
        assert stored.assignment.ad.state == "agreed"


def test_what_was_opted_out_of_is_not_judged(database: Database, ann: str) -> None:
    with database.write() as session:
        session.get_one(Account, ann).opt_outs = ["minor_age_cue", "debt_or_fees"]
    assignment = take(database, ann)
    keep(database, assignment, ann, 0, done=True)
    with database.read() as session:
        labels = session.get_one(StoredAnnotation, assignment).labels
    assert labels["debt_or_fees"] is True
    assert "minor_age_cue" not in labels


def test_who_cannot_decide_judges_nothing(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    keep(database, assignment, ann, 0, FEES.model_copy(update={"cannot_decide": "context"}), done=True)
    with database.read() as session:
        stored = session.get_one(StoredAnnotation, assignment)
    assert (stored.labels, stored.spans, stored.cannot_decide) == ({}, [], "context")


def test_an_older_version_is_refused_with_what_is_stored(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    keep(database, assignment, ann, 0)
    with pytest.raises(StaleVersionError, match="version 1 is stored, not 0") as refused:
        keep(database, assignment, ann, 0, Draft(comment="from another tab"))
    stored = refused.value.stored
    assert isinstance(stored, StoredOpinion)
    assert (stored.version, stored.draft) == (1, FEES)


def test_of_saves_made_at_once_one_wins_and_none_is_lost_silently(database: Database, ann: str) -> None:
    assignment = take(database, ann)

    def attempt(number: int) -> int | None:
        try:
            return keep(database, assignment, ann, 0, Draft(comment=f"tab {number}"))
        except StaleVersionError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8)), key=bool) == [None] * 7 + [1]


def test_every_save_is_in_the_history(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    for version in range(3):
        keep(database, assignment, ann, version, Draft(comment=f"state {version}"), done=version == 2)
    with database.read() as session:
        history = session.scalars(select(AnnotationVersion).order_by(AnnotationVersion.version)).all()
    assert [(h.version, h.comment, h.done) for h in history] == [
        (1, "state 0", False),
        (2, "state 1", False),
        (3, "state 2", True),
    ]


def test_anothers_ad_cannot_be_saved(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    with pytest.raises(NotAllowedError):
        keep(database, assignment, add_account(database, "bob"), 0)


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        (Draft(labels={"victim": True}), "'victim' is not a label"),
        (Draft(document_type="poem"), "document type must be one of"),
        (Draft(labels={"debt_or_fees": True}, spans=(Span(start=0, end=4000, label="debt_or_fees"),)), "does not fit the text"),
        (Draft(labels={"debt_or_fees": True}, spans=(Span(start=7, end=7, label="debt_or_fees"),)), "does not fit the text"),
        (Draft(labels={"debt_or_fees": False}, spans=(Span(start=0, end=7, label="debt_or_fees"),)), "not judged present"),
    ],
)
def test_a_draft_that_breaks_a_rule_is_refused_without_a_word_of_the_ad(
    sqlite_database: Database, draft: Draft, said: str
) -> None:
    add_ads(sqlite_database, 1)
    ann = add_account(sqlite_database, "ann")
    with pytest.raises(DraftError, match=said) as refused:
        keep(sqlite_database, take(sqlite_database, ann), ann, 0, draft)
    assert "Pickers" not in str(refused.value)


def test_offsets_count_code_points(sqlite_database: Database) -> None:
    add_ads(sqlite_database, 1)
    with sqlite_database.write() as session:
        session.get_one(Ad, 1).text = "😀😀 ab"
    ann = add_account(sqlite_database, "ann")
    draft = Draft(labels={"debt_or_fees": True}, spans=(Span(start=3, end=5, label="debt_or_fees"),))
    assert keep(sqlite_database, take(sqlite_database, ann), ann, 0, draft) == 1


def test_a_phone_number_in_a_comment_is_masked(sqlite_database: Database) -> None:
    add_ads(sqlite_database, 1)
    ann = add_account(sqlite_database, "ann")
    assignment = take(sqlite_database, ann)
    keep(sqlite_database, assignment, ann, 0, Draft(comment="same as +31 6 12345678"))
    with sqlite_database.read() as session:
        assert "12345678" not in session.get_one(StoredAnnotation, assignment).comment


def test_the_audit_says_who_did_what_and_holds_no_word_of_it(database: Database, ann: str) -> None:
    assignment = take(database, ann)
    keep(database, assignment, ann, 0)
    keep(database, assignment, ann, 1, done=True)
    with database.read() as session:
        audit = session.scalars(select(Audit).where(Audit.account_id == ann).order_by(Audit.id)).all()
    assert [(row.action, row.detail) for row in audit] == [("ad shown", ""), ("saved", "version 1"), ("done", "version 2")]
    assert len({row.ad_number for row in audit}) == 1
    assert {"detail", "action", "account_id", "ad_number", "at", "id"} == {column.name for column in Audit.__table__.columns}
