from random import Random

import pytest
from sqlalchemy import select, text

from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Ad, AdSketch, Feedback, SuggestedLabel, Suggestion
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.grouping import group_ads, ungrouped_count
from labeling.work.queueing import make_queue
from labeling.work.retention import erase_ad
from labeling.work.suggestions import score_waiting, waiting_count
from models.runtime import Scorer
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, import_ads, set_project

LIKE = "Ruim appartement te huur in het centrum, drie kamers en een balkon op het zuiden, vanaf {} euro per maand"
UNLIKE = [
    "Helping hands wanted for the strawberry harvest in June, bring your own boots",
    "Wij geven gratis kittens weg, ze zijn negen weken oud en zindelijk",
    "Suche Mitfahrgelegenheit nach Hamburg am Freitag, teile gern die Kosten",
]


def take_in(database: Database, texts: list[str], prefix: str = "ad") -> None:
    rows = ((n + 1, {"id": f"{prefix}-{n}", "text": words, "language": "nl"}) for n, words in enumerate(texts))
    assert import_ads(database, rows, "x", NOW).imported == len(texts)


def groups(database: Database) -> dict[str, int | None]:
    with database.read() as session:
        return dict(session.execute(select(Ad.id, Ad.group_id).order_by(Ad.number)).tuples().all())


def queue(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Ad.id).where(Ad.slots_left > 0).order_by(Ad.rank)))


def suggest(database: Database, ad_id: str, probability: float, label: str = "debt_or_fees") -> None:
    with database.write() as session:
        said = {label: {"probability": probability, "status": "uncertain", "spans": []}}
        number = session.scalars(select(Ad.number).where(Ad.id == ad_id)).one()
        kind = {"document_type": "other", "document_type_probability": 0.9}
        session.add(Suggestion(ad_number=number, bundle_digest="d", model="m", labels=said, scored_at=NOW, **kind))


def test_near_duplicates_are_grouped_also_with_ads_that_come_later(database: Database) -> None:
    take_in(database, [LIKE.format(900), UNLIKE[0], LIKE.format(950), UNLIKE[1]])
    assert group_ads(database, NOW) == 1
    found = groups(database)
    assert found["ad-0"] == found["ad-2"] is not None
    assert found["ad-1"] is found["ad-3"] is None
    take_in(database, [LIKE.format(975), UNLIKE[2]], prefix="later")
    told: list[int] = []
    assert group_ads(database, NOW, told.append) == 1
    assert told == [2]
    assert groups(database)["later-0"] == found["ad-0"]
    with database.read() as session:
        assert ungrouped_count(session) == 0
    assert queue(database)[-2:] in (["ad-2", "later-0"], ["later-0", "ad-2"])


def test_a_group_lives_on_when_its_first_ad_is_erased(database: Database) -> None:
    take_in(database, [LIKE.format(900), LIKE.format(950)])
    group_ads(database, NOW)
    with database.write() as session:
        erase_ad(session, min(groups(database)), None, NOW)
    take_in(database, [LIKE.format(975)], prefix="later")
    group_ads(database, NOW)
    (first, group), (later, same) = groups(database).items()
    with database.read() as session:
        assert group == same == session.scalars(select(Ad.number).where(Ad.id == first)).one()
        assert session.scalar(select(AdSketch.ad_number).where(AdSketch.ad_number == group)) == group
    assert later == "later-0"


def test_the_strategies_that_the_project_mixes_order_the_queue(database: Database) -> None:
    set_project(database, overlap=1, mixing={"uncertainty": 1})
    add_ads(database, 4)
    for number, probability in enumerate([0.1, 0.9, 0.5, 0.7]):
        suggest(database, f"ad-{number}", probability)
    assert make_queue(database, Random(1), NOW) == 4
    assert queue(database)[:2] == ["ad-2", "ad-3"]

    set_project(database, overlap=1, mixing={"feedback_first": 1})
    with database.write() as session:
        session.add(Feedback(outbox="0" * 12, seq=1, ad_id="ad-1", labels={}, spans=[], received_at=NOW))
    make_queue(database, Random(1), NOW)
    assert queue(database)[0] == "ad-1"


def test_a_label_that_was_found_often_enough_is_no_longer_looked_for(database: Database) -> None:
    set_project(database, overlap=1, mixing={"under_covered": 1})
    add_ads(database, 2)
    ann = add_account(database, "ann")
    for _ in range(2):
        with database.write() as session:
            assignment = next_assignment(session, ann, NOW)
            assert assignment is not None
            save(session, assignment.id, ann, 0, Draft(labels={"debt_or_fees": True}), done=True, now=NOW)
    add_ads(database, 2, prefix="new")
    suggest(database, "new-0", 0.9, "debt_or_fees")
    suggest(database, "new-1", 0.6, "absent_limits")
    make_queue(database, Random(1), NOW)
    assert queue(database) == ["new-1", "new-0"]


def test_ads_that_somebody_has_read_come_first_and_their_copies_last(database: Database) -> None:
    set_project(database, overlap=2, mixing={"diversity": 1})
    take_in(database, [LIKE.format(900), LIKE.format(950), *UNLIKE])
    with database.write() as session:
        for ad in session.scalars(select(Ad)):
            ad.rank = {"ad-0": 0}.get(ad.id, 5)
    group_ads(database, NOW)
    ann = add_account(database, "ann")
    with database.write() as session:
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        assert assignment.ad.id == "ad-0"
    make_queue(database, Random(1), NOW)
    order = queue(database)
    assert (order[0], order[-1]) == ("ad-0", "ad-1")


def test_the_same_seed_makes_the_same_queue(database: Database) -> None:
    set_project(database, mixing={"random": 1})
    add_ads(database, 12)
    orders = []
    for seed in (1, 1, 2):
        make_queue(database, Random(seed), NOW)
        orders.append(queue(database))
    assert orders[0] == orders[1] != orders[2]


def test_a_real_model_scores_what_waits_and_can_be_stopped(database: Database, scorer: Scorer) -> None:
    take_in(database, UNLIKE)
    digest = scorer.identity.bundle_digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labeling.work.suggestions.BATCH", 2)

        def stop(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score_waiting(database, scorer, stop)
        with database.read() as session:
            assert waiting_count(session, digest) == 1
        assert score_waiting(database, scorer) == 1
        assert score_waiting(database, scorer) == 0
    expected = {score.document_type for score in scorer.score(UNLIKE, ["nl"] * 3)}
    with database.read() as session:
        suggestions = session.scalars(select(Suggestion)).all()
        seen = session.scalars(select(SuggestedLabel)).all()
        texts = dict(session.execute(select(Ad.number, Ad.text)).tuples().all())
    assert {suggestion.document_type for suggestion in suggestions} == expected
    for suggestion in suggestions:
        assert set(suggestion.labels) == set(packaged_taxonomy().label_ids)
        not_absent = {label for label, said in suggestion.labels.items() if said["status"] != "absent"}
        assert not_absent == {one.label for one in seen if one.ad_number == suggestion.ad_number}
        for said in suggestion.labels.values():
            assert all(0 <= s["start"] < s["end"] <= len(texts[suggestion.ad_number]) for s in said["spans"])


def test_another_model_replaces_what_the_first_said(database: Database, scorer: Scorer) -> None:
    take_in(database, UNLIKE[:1])
    suggest(database, "ad-0", 0.5)
    with database.write() as session:
        session.execute(text("INSERT INTO suggested_label (ad_number, label) VALUES (1, 'gone')"))
    assert score_waiting(database, scorer) == 1
    with database.read() as session:
        assert session.scalars(select(Suggestion.bundle_digest)).one() == scorer.identity.bundle_digest
        assert "gone" not in session.scalars(select(SuggestedLabel.label)).all()
