import json
from pathlib import Path

import pytest
from sqlalchemy import select, update

from labeling.accounts.roles import Role
from labeling.errors import ExportError
from labeling.export import EXAMPLES, export_folder
from labeling.opinion import Draft
from labeling.queue import Mixing
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, Assignment, Audit, Export, StoredAnnotation, SuggestedLabel
from labeling.work.adjudicating import disputed, resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment, skip
from labeling.work.care import opt_out
from labeling.work.finals import export_finals, finals
from models.example import Span, read_examples
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, set_project

FEES = Draft(
    labels={"debt_or_fees": True}, document_type="recruitment_post", spans=(Span(start=33, end=54, label="debt_or_fees"),)
)
NOTHING = Draft(document_type="recruitment_post")
CANNOT = Draft(cannot_decide="context")


def judge(database: Database, annotator: str, opinions: dict[str, Draft]) -> None:
    for _ in opinions:
        with database.write() as session:
            assignment = next_assignment(session, annotator, NOW)
            assert assignment is not None
            save(session, assignment.id, annotator, 0, opinions[assignment.ad.id], done=True, now=NOW)


def test_what_is_agreed_and_what_was_decided_is_exported_once(database: Database, tmp_path: Path) -> None:
    set_project(database, overlap=2)
    add_ads(database, 5)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    judge(database, ann, {"ad-0": FEES, "ad-1": FEES, "ad-2": NOTHING, "ad-3": FEES, "ad-4": CANNOT})
    judge(database, bob, {"ad-0": FEES, "ad-1": NOTHING, "ad-2": NOTHING, "ad-3": NOTHING, "ad-4": CANNOT})
    with database.write() as session:
        resolve(session, "ad-1", ada, 0, NOTHING, NOW)
        resolve(session, "ad-4", ada, 0, CANNOT, NOW)
    made = export_finals(database, tmp_path / "exports", ann, NOW)
    examples = {e.id: e for e in read_examples(export_folder(tmp_path / "exports", made.manifest.digest) / EXAMPLES)}
    assert {i: (e.labels, e.hard_negatives, e.document_type) for i, e in examples.items()} == {
        "ad-0": (["debt_or_fees"], [], "recruitment_post"),
        "ad-1": ([], ["debt_or_fees"], "recruitment_post"),
        "ad-2": ([], [], "recruitment_post"),
    }
    assert [(s.start, s.end) for s in examples["ad-0"].spans] == [(33, 54)]
    assert {i: e.shares for i, e in examples.items()} == {"ad-0": None, "ad-1": {"debt_or_fees": 0.25}, "ad-2": None}
    assert dict(made.left_out) == {
        "that wait for an adjudicator": 1,
        "on which the adjudicator could not decide either": 1,
    }
    again = export_finals(database, tmp_path / "exports", None, NOW)
    assert again.manifest.digest == made.manifest.digest
    with database.read() as session:
        noted = session.scalars(select(Export)).one()
        assert (noted.digest, noted.ads, noted.account_id) == (made.manifest.digest, 3, ann)
        assert len(session.scalars(select(Audit).where(Audit.action == "exported")).all()) == 2


def test_a_label_that_all_opted_out_of_waits_for_an_adjudicator_and_is_not_lost(database: Database, tmp_path: Path) -> None:
    set_project(database, overlap=2)
    add_ads(database, 1)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    with database.write() as session:
        for annotator in (ann, bob):
            opt_out(session, session.get_one(Account, annotator), ["minor_age_cue"], packaged_taxonomy(), NOW)
    judge(database, ann, {"ad-0": FEES})
    judge(database, bob, {"ad-0": FEES})
    with database.write() as session:
        assert [ad.id for ad in disputed(session)] == ["ad-0"]
        found = finals(session, packaged_taxonomy())
        assert (found.examples, dict(found.left_out)) == ([], {"that wait for an adjudicator": 1})
        resolve(session, "ad-0", ada, 0, FEES, NOW)
    made = export_finals(database, tmp_path, None, NOW)
    (example,) = read_examples(export_folder(tmp_path, made.manifest.digest) / EXAMPLES)
    assert (example.labels, example.shares, made.left_out) == (["debt_or_fees"], None, {})


def test_ads_that_no_annotator_is_left_to_read_are_counted_apart(database: Database) -> None:
    set_project(database, overlap=2)
    add_ads(database, 4)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    apart = "that no annotator is left to read; an adjudicator, an admin or a new account can"

    def left_out() -> dict[str, int]:
        with database.read() as session:
            return dict(finals(session, packaged_taxonomy()).left_out)

    def pass_over(annotator: str, done: str = "") -> None:
        with database.write() as session:
            while (assignment := next_assignment(session, annotator, NOW)) is not None:
                if assignment.ad.id == done:
                    save(session, assignment.id, annotator, 0, FEES, done=True, now=NOW)
                else:
                    skip(session, assignment.id, annotator, NOW)

    with database.write() as session:
        seen_in = select(Ad.number).where(Ad.id == "ad-3")
        session.add(SuggestedLabel(ad_number=session.scalars(seen_in).one(), label="minor_age_cue"))
        opt_out(session, session.get_one(Account, ann), ["minor_age_cue"], packaged_taxonomy(), NOW)
    pass_over(ann, done="ad-0")
    assert left_out() == {"that wait for reviewers": 4}, "bob may read them"
    with database.write() as session:
        first = next_assignment(session, bob, NOW)
        assert first is not None
        skip(session, first.id, bob, NOW)
    assert left_out() == {"that wait for reviewers": 3, apart: 1}
    pass_over(bob)
    assert left_out() == {apart: 4}, "one of them was read once, and wants another"
    with database.write() as session:
        assert next_assignment(session, ada, NOW) is not None, "who is no annotator is given them"
    add_account(database, "cat")
    assert left_out() == {"that wait for reviewers": 4}


def test_an_agreed_ad_that_lacks_a_judgement_all_the_same_is_counted_as_such(sqlite_database: Database, tmp_path: Path) -> None:
    set_project(sqlite_database, overlap=1)
    add_ads(sqlite_database, 2)
    judge(sqlite_database, add_account(sqlite_database, "ann"), {"ad-0": NOTHING, "ad-1": NOTHING})
    with sqlite_database.write() as session:  # as if the taxonomy had got a label since
        one = session.scalars(select(StoredAnnotation).order_by(StoredAnnotation.assignment_id)).first()
        assert one is not None
        one.labels = {label: there for label, there in one.labels.items() if label != "minor_age_cue"}
    made = export_finals(sqlite_database, tmp_path, None, NOW)
    assert (made.manifest.examples, dict(made.left_out)) == (1, {"of which nobody judged some label; an adjudicator can": 1})


def test_an_export_says_whose_suggestions_were_seen_and_how_the_project_worked(database: Database, tmp_path: Path) -> None:
    set_project(database, overlap=2, blind=False)
    add_ads(database, 1)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    judge(database, ann, {"ad-0": FEES})
    judge(database, bob, {"ad-0": FEES})
    with database.write() as session:
        session.scalars(select(Assignment).where(Assignment.account_id == bob)).one().suggested_by = "b" * 64
    made = export_finals(database, tmp_path, None, NOW)
    line = json.loads((export_folder(tmp_path, made.manifest.digest) / EXAMPLES).read_text())
    assert set(line["provenance"]["annotators"]) == {ann, bob}
    assert line["provenance"]["suggested_by"] == {bob: "b" * 64}
    assert made.manifest.suggested == 1
    assert made.manifest.settings == {"overlap": 2, "blind": False, "gold_share": 0.0, "mixing": Mixing().model_dump()}


def test_near_duplicates_share_a_scenario(sqlite_database: Database, tmp_path: Path) -> None:
    set_project(sqlite_database, overlap=1)
    add_ads(sqlite_database, 3)
    with sqlite_database.write() as session:
        session.execute(update(Ad).where(Ad.id.in_(["ad-0", "ad-1"])).values(group_id=1))
    for name in ("ann", "bob"):
        annotator = add_account(sqlite_database, name)
        with sqlite_database.write() as session:
            while (assignment := next_assignment(session, annotator, NOW)) is not None:
                save(session, assignment.id, annotator, 0, NOTHING, done=True, now=NOW)
    made = export_finals(sqlite_database, tmp_path, None, NOW)
    examples = {e.id: e for e in read_examples(export_folder(tmp_path, made.manifest.digest) / EXAMPLES)}
    assert examples["ad-0"].scenario == examples["ad-1"].scenario != examples["ad-2"].scenario


def test_without_settled_ads_there_is_no_export(sqlite_database: Database, tmp_path: Path) -> None:
    add_ads(sqlite_database, 1)
    with pytest.raises(ExportError, match="nothing to export"):
        export_finals(sqlite_database, tmp_path, None, NOW)
