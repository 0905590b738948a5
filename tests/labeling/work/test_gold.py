from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Account
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.gold import gold_results
from tests.labeling.conftest import NOW, add_account, add_ads, set_project


def test_opinions_on_gold_items_are_counted_beside_the_answers(database: Database) -> None:
    set_project(database, overlap=1, gold_share=0.5)
    add_ads(database, 4, gold=True, prefix="gold")  # debt_or_fees in each
    ann, opted_out = add_account(database, "ann"), add_account(database, "bob")
    with database.write() as session:
        session.get_one(Account, opted_out).opt_outs = ["debt_or_fees"]
    drafts = [
        Draft(labels={"debt_or_fees": True}),
        Draft(),
        Draft(labels={"debt_or_fees": True, "absent_limits": True}),
        Draft(cannot_decide="context"),
    ]
    for annotator, opinions in ((ann, drafts), (opted_out, [Draft()])):
        for draft in opinions:
            assignment = None
            while assignment is None:  # a gold item comes by chance
                with database.write() as session:
                    assignment = next_assignment(session, annotator, NOW)
            with database.write() as session:
                save(session, assignment.id, annotator, 0, draft, done=True, now=NOW)
    with database.read() as session:
        results = gold_results(session)
    assert (results[ann].items, results[ann].right, results[ann].missed, results[ann].wrong) == (3, 2, 1, 1)
    assert results[ann].f1 == 4 / 6
    assert (results[opted_out].items, results[opted_out].f1) == (1, None)
