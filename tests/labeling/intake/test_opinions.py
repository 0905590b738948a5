"""Label Studio's JSON into the room, out to training, and back."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from labeling.accounts.roles import Role
from labeling.export import EXAMPLES, export_folder
from labeling.intake.opinions import OpinionReport, import_opinions
from labeling.label_studio import from_tasks, to_tasks
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AnnotationVersion, Assignment, Audit, StoredAnnotation
from labeling.work.adjudicating import resolve
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.finals import export_finals
from labeling.work.opinions_out import room_out
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, set_project
from tests.labeling.test_exchange_cli import run
from training.data import load_data

TAXONOMY = packaged_taxonomy()
TEXT = "👩‍👧 Call 06 12 34 56 78. You pay back the bus first, ad {}."
EARLIER = NOW - timedelta(days=3)


def answer(annotator: int, *, fees: bool, text: str, saved_at: str = EARLIER.isoformat()) -> dict[str, Any]:
    """An annotation as Label Studio 1.23.2 exports it."""
    start = text.index("pay back")
    region = {"start": start, "end": start + 8, "text": "pay back", "labels": ["debt_or_fees"]}
    results: list[dict[str, Any]] = [
        {"from_name": "labels", "to_name": "text", "type": "choices", "value": {"choices": ["none_of_these"]}},
        {"from_name": "document_type", "to_name": "text", "type": "choices", "value": {"choices": ["recruitment_post"]}},
    ]
    if fees:
        results[0]["value"]["choices"] = ["debt_or_fees"]
        results.append({"from_name": "evidence", "to_name": "text", "type": "labels", "value": region, "origin": "manual"})
    return {"completed_by": annotator, "was_cancelled": False, "lead_time": 9.4, "result": results, "updated_at": saved_at}


def task(number: int, *annotators: tuple[int, bool]) -> dict[str, Any]:
    text = TEXT.format(number)
    said = [answer(annotator, fees=fees, text=text) for annotator, fees in annotators]
    return {"id": number, "data": {"text": text, "ad_id": f"ls-{number}", "language": "en"}, "annotations": said}


def take_in(database: Database, tasks: list[dict[str, Any]]) -> OpinionReport:
    ads, annotations, problems = from_tasks(tasks, TAXONOMY)
    assert problems == []
    return import_opinions(database, ads, annotations, "export.json", NOW)


def states(database: Database) -> dict[str, str]:
    with database.read() as session:
        return dict(session.execute(select(Ad.id, Ad.state)).tuples().all())


def test_label_studio_to_the_room_to_training_and_back(database: Database, tmp_path: Path) -> None:
    set_project(database, overlap=2)
    # Grouped by nothing and with texts of their own, 60 ads fall into all three splits.
    tasks = [task(n, (3, n % 2 == 0), (17, n % 2 == 0)) for n in range(60)]
    report = take_in(database, tasks)
    assert (report.ads.imported, report.new, report.problems) == (60, 120, [])
    assert set(states(database).values()) == {"agreed"}

    made = export_finals(database, tmp_path, None, NOW)
    data = load_data(export_folder(tmp_path, made.manifest.digest) / EXAMPLES, TAXONOMY)
    examples = [example for split in data.splits.values() for example in split]
    assert len(examples) == 60
    assert sum(example.labels == ["debt_or_fees"] for example in examples) == 30
    for example in examples:
        assert "12 34 56 78" not in example.text  # masked, and the words are still where they were
        assert all(example.text[span.start : span.end] == "pay back" for span in example.spans)

    with database.read() as session:
        out = room_out(session)
        names = {account.id: account.name for account in session.scalars(select(Account)) if not account.active}
    back = from_tasks(json.loads(json.dumps(to_tasks(out.ads, out.opinions, taxonomy=TAXONOMY))), TAXONOMY)
    assert back == (out.ads, out.opinions, [])
    assert sorted(names.values()) == ["label-studio-17", "label-studio-3"]
    came, went = from_tasks(tasks, TAXONOMY)[1], {(o.ad_id, names[o.annotator]): o for o in back[1]}
    for opinion in came:
        assert went[opinion.ad_id, opinion.annotator].model_copy(update={"annotator": opinion.annotator}) == opinion


def test_the_same_file_again_changes_nothing_and_a_changed_opinion_is_in_the_history(database: Database) -> None:
    set_project(database, overlap=2)
    take_in(database, [task(1, (3, True), (17, True))])
    again = take_in(database, [task(1, (3, True), (17, True))])
    assert (again.ads.known, again.new, again.changed, again.known) == (1, 0, 0, 2)
    changed = take_in(database, [task(1, (3, True), (17, False))])
    assert (changed.new, changed.changed, changed.known) == (0, 1, 1)
    assert states(database) == {"ls-1": "disputed"}
    older = task(1, (17, True))
    older["annotations"][0]["updated_at"] = (EARLIER - timedelta(days=1)).isoformat()
    assert take_in(database, [older]).known == 1
    with database.read() as session:
        assert sorted(session.scalars(select(AnnotationVersion.version))) == [1, 1, 2]
        assert sorted(session.scalars(select(StoredAnnotation.version))) == [1, 2]
        assert session.scalars(select(StoredAnnotation.saved_at).distinct()).all() == [EARLIER]
        assert len(session.scalars(select(Audit).where(Audit.detail.startswith("opinion of"))).all()) == 3


def test_an_opinion_takes_a_slot_and_the_rest_is_for_the_rooms_own_reviewers(database: Database) -> None:
    set_project(database, overlap=2)
    ann = add_account(database, "ann")
    take_in(database, [task(1, (3, True))])
    with database.write() as session:
        assert session.scalars(select(Ad.slots_left)).one() == 1
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(document_type="recruitment_post"), done=True, now=NOW)
    assert states(database) == {"ls-1": "disputed"}
    take_in(database, [task(1, (17, True))])  # one more than the overlap asks for
    with database.read() as session:
        assert session.scalars(select(Ad.slots_left)).one() == -1
        assert len(session.scalars(select(Assignment)).all()) == 3


def test_nobody_signs_in_with_the_accounts_and_an_open_one_of_that_name_is_left_alone(database: Database) -> None:
    add_account(database, "label-studio-17")
    report = take_in(database, [task(1, (3, True), (17, True))])
    assert report.new == 1
    assert report.problems == [
        "Ad ls-1: an opinion of label-studio-17, a reviewer of this room, is not the one that was given here; left out."
    ]
    with database.read() as session:
        assert dict(session.execute(select(Account.name, Account.active)).tuples().all()) == {
            "label-studio-17": True,
            "label-studio-3": False,
        }


def test_what_comes_back_never_changes_what_a_reviewer_said_here(database: Database) -> None:
    set_project(database, overlap=1)
    add_ads(database, 1)
    ann = add_account(database, "ann")
    with database.write() as session:
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(document_type="recruitment_post"), done=True, now=NOW)
    with database.read() as session:
        out = room_out(session)
    tasks = to_tasks(out.ads, out.opinions, taxonomy=TAXONOMY)
    assert take_in(database, tasks).known == 1
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["debt_or_fees"]
    assert "an opinion of ann, a reviewer of this room" in take_in(database, tasks).problems[0]
    with database.read() as session:
        assert session.scalars(select(AnnotationVersion.version)).all() == [1]


def test_a_decided_ad_takes_no_more_opinions_and_its_decision_goes_out_as_ground_truth(database: Database) -> None:
    set_project(database, overlap=2)
    ada = add_account(database, "ada", Role.ADJUDICATOR)
    take_in(database, [task(1, (3, True), (17, False))])
    with database.write() as session:
        resolve(session, "ls-1", ada, 0, Draft(labels={"debt_or_fees": True}), NOW)
    assert take_in(database, [task(1, (5, True))]).problems == ["Ad ls-1: an adjudicator has decided it; an opinion is left out."]
    with database.read() as session:
        out = room_out(session)
    (gone,) = to_tasks(out.ads, out.opinions, finals=out.decisions, taxonomy=TAXONOMY)
    assert [a.get("ground_truth", False) for a in gone["annotations"]] == [False, False, True]
    again = take_in(database, [gone])
    assert (again.known, again.new, again.problems) == (2, 0, [])


def test_an_id_with_another_text_is_refused_with_its_opinions_and_the_rest_is_in(database: Database) -> None:
    take_in(database, [task(1, (3, True))])
    other = task(1, (17, True))
    other["data"]["text"] = f"Read this: {other['data']['text']}"
    other["annotations"][0] = answer(17, fees=True, text=other["data"]["text"])
    report = take_in(database, [other, task(2, (17, True))])
    assert report.problems == ["Ad ls-1: id: this id is there already, with another text; the text stays as it was."]
    assert (report.ads.imported, report.new) == (1, 1)


def test_the_commands_and_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/labeling.db"
    monkeypatch.setenv("SIGNAAL_LABEL_DATABASE_URL", address)
    exported = tmp_path / "export.json"
    exported.write_text(json.dumps([task(1, (3, True), (17, True)), {"id": 2, "data": {}}]), encoding="utf-8")
    came = run("import", exported)
    assert came.exit_code == 1
    assert "1 new ads, 0 known; 2 new opinions, 0 changed, 0 known" in came.stdout
    assert "1 ads compared" in came.stdout
    assert came.stderr.strip() == 'task 2: its data has no "text" that can be read.'
    gone = run("export", tmp_path / "tasks.json")
    assert "1 tasks in" in gone.stdout
    assert "with 2 opinions and 0 decisions" in gone.stdout
    assert (tmp_path / "tasks.json").stat().st_mode & 0o777 == 0o600
    assert run("import", tmp_path / "tasks.json", "--no-group").exit_code == 0
    run("export", tmp_path / "blind.json", "--no-opinions")
    assert json.loads((tmp_path / "blind.json").read_text())[0]["annotations"] == []
