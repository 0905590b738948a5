"""``signaal-label``'s commands on a real database, as they are typed."""

import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from labeling.cli import main
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.store.tables import Account, Ad
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from tests.labeling.conftest import NOW, PASSWORD, set_project


class Console:
    """Types a command; gives its exit code and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        self._patch.setattr("sys.argv", ["signaal-label", *arguments])
        self._patch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as stop:
            main()
        said = self._capsys.readouterr()
        return int(stop.value.code or 0), " ".join((said.out + said.err).split())


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/room/labeling.db"
    monkeypatch.setenv("SIGNAAL_LABEL_DATABASE_URL", url)
    return url


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str) -> Console:
    return Console(monkeypatch, capsys)


def test_from_nothing_to_an_export_and_back_to_nothing(console: Console, address: str, tmp_path: Path) -> None:
    rows = [{"id": f"a{n}", "text": f"Pickers wanted {n}. The bus costs 900.", "language": "en"} for n in range(3)]
    Path("ads.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert console("import", "ads.jsonl") == (
        0,
        "ads.jsonl: 3 imported, 0 known, 0 refused 3 ads compared, 2 of them like an earlier one",
    )
    assert console("import", "ads.jsonl", "--no-group") == (0, "ads.jsonl: 0 imported, 3 known, 0 refused")
    assert console("account", "add", "ann", "--role", "admin", "--password-stdin", typed=f"{PASSWORD}\n") == (0, "ann is admin")
    assert "ann admin yes" in console("account", "list")[1]
    assert console("group") == (0, "0 ads compared, 0 of them like an earlier one")
    assert console("queue", "--seed", "1") == (0, "1 ads in the queue")

    database = Database(address)
    set_project(database, overlap=1)
    with database.write() as session:
        ann = session.scalars(select(Account.id)).one()
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        labelled = assignment.ad.id
        save(session, assignment.id, ann, 0, Draft(labels={"debt_or_fees": True}), done=True, now=NOW)
    code, said = console("export")
    assert code == 0
    assert "left out: 2 ads that wait for reviewers 1 examples in data/exports/" in said

    assert console("backup", "copy.db")[0] == 0
    folder = next(Path("data/exports").iterdir()).resolve()
    code, said = console("erase", labelled)
    assert (code, said) == (
        0,
        f"erased This export still holds what is erased; delete it and its copies: {folder}",
    )
    for file in folder.iterdir():
        file.unlink()
    code, said = console("erase", labelled)
    assert code == 1
    assert "1 exports cannot be looked into where they were made" in said
    with database.read() as session:
        assert len(session.scalars(select(Ad)).all()) == 2
    assert console("restore", "copy.db")[0] == 2
    assert console("restore", "copy.db", "--replace")[0] == 0
    last = console("audit")[1]
    assert "backed up" not in last  # that is in what was replaced
    assert re.search(r"restored - copy of SHA-256 \w{16}, in place of one whose audit went to entry \d+ of \d{4}-\d\d-\d\d", last)
    with database.read() as session:
        assert len(session.scalars(select(Ad)).all()) == 3
    set_project(database, retention_days=1)
    database.close()
    assert console("purge") == (0, "0 ads erased")


def test_refused_rows_are_named_and_give_exit_code_1(console: Console) -> None:
    Path("ads.jsonl").write_text('{"id": "a", "text": "fine"}\n{"id": "b"}\n')
    code, said = console("import", "ads.jsonl")
    assert code == 1
    assert "ads.jsonl: 1 imported, 0 known, 1 refused" in said
    assert "ads.jsonl: line 2: text: Field required" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "none.jsonl"), "Cannot read none.jsonl"),
        (("import-feedback", "none.ndjson"), "Cannot read none.ndjson"),
        (("account", "password", "nobody", "--password-stdin"), "There is no account nobody"),
        (("account", "add", "ann", "--password-stdin"), "12 to 200 characters"),
        (("export",), "nothing to export"),
        (("backup", "labeling.db"), "There is no database"),
    ],
)
def test_what_cannot_be_done_is_a_plain_line(console: Console, arguments: tuple[str, ...], said: str) -> None:
    code, printed = console(*arguments, typed="short\n")
    assert code == 2
    assert printed.startswith("error: ")
    assert said in printed
    assert "Traceback" not in printed


def test_accounts_are_changed_closed_and_opened(console: Console, address: str) -> None:
    for name, role in (("ada", "admin"), ("ann", "annotator")):
        console("account", "add", name, "--role", role, "--password-stdin", typed=f"{PASSWORD}\n")
    assert console("account", "role", "ann", "adjudicator")[0] == 0
    assert console("account", "password", "ann", "--password-stdin", typed="another good password\n")[0] == 0
    assert console("account", "close", "ann")[0] == 0
    assert "ann adjudicator no" in console("account", "list")[1]
    assert console("account", "open", "ann")[0] == 0
    assert "only admin" in console("account", "close", "ada")[1]


def test_the_models_suggestions_come_by_a_command(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_BUNDLE", "nowhere")
    code, said = console("score")
    assert code == 2
    assert "nowhere" in said


@pytest.mark.parametrize("arguments", [("queue",), ("backup", "copy.db"), ("restore", "copy.db"), ("account", "list"), ("web",)])
def test_a_setting_that_cannot_be_is_named_without_its_value(
    console: Console, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SIGNAAL_LABEL_SESSION_HOURS", "xyzzy")
    code, printed = console(*arguments)
    assert code == 2
    assert printed.startswith("error: SIGNAAL_LABEL_SESSION_HOURS: ")
    assert "xyzzy" not in printed
    assert "Traceback" not in printed


def test_doubted_ads_are_put_first_by_a_command(console: Console) -> None:
    Path("ads.jsonl").write_text('{"id": "a", "text": "Room to let."}\n{"id": "b", "text": "Pickers wanted for the season."}\n')
    Path("doubts.jsonl").write_text('{"ad_id": "b", "label": "debt_or_fees"}\n{"ad_id": "c", "label": "debt_or_fees"}\n')
    console("import", "ads.jsonl")
    code, said = console("queue", "--first", "doubts.jsonl")
    assert code == 0
    assert said.startswith("1 doubted ads come first, 0 of them settled ones")
    assert "1 that are not here" in said
    assert console("queue", "--first", "none.jsonl")[0] == 2


def test_what_came_in_without_grouping_is_grouped_by_the_next_import(console: Console) -> None:
    for name in ("one", "two"):
        Path(f"{name}.jsonl").write_text(f'{{"id": "{name}", "text": "Pickers wanted for the season. Ask for {name}."}}')
    assert "compared" not in console("import", "one.jsonl", "--no-group")[1]
    assert console("import", "two.jsonl")[1].endswith("2 ads compared, 1 of them like an earlier one")


def test_the_audit_is_read_by_ad_account_and_day(console: Console, address: str) -> None:
    Path("ads.jsonl").write_text('{"id": "a", "text": "Room to let."}\n{"id": "b", "text": "Pickers wanted for the season."}\n')
    for name in ("ann", "bob"):
        console("account", "add", name, "--password-stdin", typed=f"{PASSWORD}\n")
    console("import", "ads.jsonl")
    database = Database(address)
    set_project(database, overlap=1)
    with database.write() as session:
        ann = session.scalars(select(Account.id).where(Account.name == "ann")).one()
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(comment="secret words"), done=True, now=NOW)
        ad_id, number = assignment.ad.id, assignment.ad_number
    database.close()
    of_ad = f"2026-11-28 12:00:00 ann ad shown {number} 2026-11-28 12:00:00 ann done {number} version 1"
    assert console("audit", "--ad", str(number)) == (0, of_ad)
    assert console("audit", "--id", ad_id) == (0, of_ad)
    of_ann = console("audit", "--account", "ann")[1]
    assert "account made - ann annotator" in of_ann
    assert "bob" not in of_ann
    assert "imported - 2 imported, 0 known, 0 refused" in console("audit")[1]
    assert "ann done" not in console("audit", "--since", "2026-11-29")[1]
    assert "secret" not in console("audit")[1]
    console("erase", ad_id)
    assert console("audit", "--id", ad_id)[0] == 2
    assert f"- erased {number}" in console("audit", "--ad", str(number))[1]
    assert console("audit", "--account", "eve")[0] == 2


def test_a_backup_is_in_the_audit(console: Console) -> None:
    console("account", "add", "ann", "--password-stdin", typed=f"{PASSWORD}\n")
    console("backup", "copy.db")
    size = Path("copy.db").stat().st_size
    assert re.search(rf"backed up - {size} bytes, SHA-256 \w{{16}}$", console("audit")[1])


def test_a_purge_names_every_export_that_holds_what_it_erased(console: Console, address: str) -> None:
    Path("ads.jsonl").write_text('{"id": "a", "text": "Room to let."}\n')
    console("account", "add", "ann", "--password-stdin", typed=f"{PASSWORD}\n")
    console("import", "ads.jsonl")
    database = Database(address)
    set_project(database, overlap=1, retention_days=1)
    with database.write() as session:
        ann = session.scalars(select(Account.id)).one()
        assignment = next_assignment(session, ann, NOW)
        assert assignment is not None
        save(session, assignment.id, ann, 0, Draft(), done=True, now=NOW)
        session.execute(update(Ad).values(imported_at=NOW - timedelta(days=400)))
    database.close()
    for folder in ("one", "two"):  # the same export, twice
        console("export", folder)
    code, said = console("purge")
    assert code == 0
    assert said.startswith("1 ads erased")
    for folder in ("one", "two"):
        assert f"delete it and its copies: {next(Path(folder).iterdir()).resolve()}" in said
