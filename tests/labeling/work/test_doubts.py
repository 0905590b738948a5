from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from labeling.accounts.roles import Role
from labeling.errors import IntakeError
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Ad
from labeling.work.adjudicating import resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.doubts import Doubted, open_doubted, read_doubts
from labeling.work.queueing import make_queue
from tests.labeling.conftest import NOW, add_account, add_ads, set_project


def read_everything(database: Database, annotator: str, said: Draft) -> list[str]:
    """Ids of the ads, in the order in which they came."""
    order = []
    with database.write() as session:
        while (assignment := next_assignment(session, annotator, NOW)) is not None:
            order.append(assignment.ad.id)
            save(session, assignment.id, annotator, 0, said, done=True, now=NOW)
    return order


def doubt(database: Database, *ad_ids: str) -> Doubted:
    with database.write() as session:
        found = open_doubted(session, ad_ids, NOW)
    make_queue(database, Random(1), NOW, found.first)
    return found


def states(database: Database) -> dict[str, str]:
    with database.read() as session:
        return dict(session.execute(select(Ad.id, Ad.state)).tuples().all())


def test_doubted_ads_come_before_all_others_in_the_order_of_the_doubts(database: Database) -> None:
    set_project(database, overlap=2)
    add_ads(database, 8)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    with database.write() as session:  # an ad that somebody has read comes first otherwise
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(), done=True, now=NOW)
        begun = assignment.ad.id
    wanted = [f"ad-{n}" for n in (6, 2, 4) if f"ad-{n}" != begun]
    assert len(doubt(database, *wanted, "elsewhere").first) == len(wanted)
    assert read_everything(database, bob, Draft())[: len(wanted) + 1] == [*wanted, begun]


def test_a_settled_ad_gets_one_more_reader_once_and_counts_again_when_the_three_agree(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 3)
    ann, bob = add_account(database, "ann"), add_account(database, "bob")
    read_everything(database, ann, Draft())
    first = doubt(database, "ad-1", "none")
    assert (len(first.first), first.again, first.unknown) == (1, 1, 1)
    assert states(database)["ad-1"] == "open"
    assert doubt(database, "ad-1").again == 0  # it waits for its reader already
    assert read_everything(database, bob, Draft()) == ["ad-1"]
    assert states(database)["ad-1"] == "agreed"
    assert doubt(database, "ad-1").enough == 1


def test_another_opinion_of_the_one_reader_more_is_a_dispute(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 1)
    ann, bob, ada = add_account(database, "ann"), add_account(database, "bob"), add_account(database, "ada", Role.ADJUDICATOR)
    read_everything(database, ann, Draft())
    doubt(database, "ad-0")
    read_everything(database, bob, Draft(labels={"debt_or_fees": True}))
    assert states(database) == {"ad-0": "disputed"}
    with database.write() as session:
        resolve(session, "ad-0", ada, 0, Draft(), NOW)
    assert doubt(database, "ad-0").decided == 1
    assert states(database) == {"ad-0": "resolved"}


def test_where_everyone_has_read_it_an_adjudicator_is_asked(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 1)
    read_everything(database, add_account(database, "ann"), Draft())
    assert doubt(database, "ad-0").disputed == 1
    assert states(database) == {"ad-0": "disputed"}


def test_the_file_of_doubts_names_each_ad_once_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "doubts.jsonl"
    path.write_text('{"ad_id": "b", "label": "x"}\n{"ad_id": "a"}\n\n{"ad_id": "b", "label": "y"}\n')
    assert read_doubts(path) == ["b", "a"]
    path.write_text('{"ad_id": "b"}\n{"id": "secret words"}\n')
    with pytest.raises(IntakeError, match=r"doubts\.jsonl:2 has no ad_id") as refused:
        read_doubts(path)
    assert "secret" not in str(refused.value)
    with pytest.raises(IntakeError, match="Cannot read"):
        read_doubts(tmp_path / "none.jsonl")
