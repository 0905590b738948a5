import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from sqlalchemy import select

from labeling.errors import IntakeError
from labeling.intake.importing import ImportReport, import_ads
from labeling.intake.readers import read_rows
from labeling.store.database import Database
from labeling.store.tables import Ad, Audit
from labeling.work.assignment import next_assignment
from labeling.work.retention import erase_ad
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import NOW, add_account, add_ads, set_project

ROWS = [
    {"id": "a1", "text": "Pickers wanted. The bus costs 900 and comes off your wages."},
    {"id": "a2", "text": "Ruim appartement te huur in het centrum, drie kamers en een balkon.", "language": "nl"},
]


def write(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        cells = [[str(row.get(name, "")) for name in ("id", "text", "language")] for row in rows]
        path.write_text("\n".join(['"id";"text";"language"', *(";".join(f'"{cell}"' for cell in row) for row in cells)]))
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def take_in(database: Database, path: Path, *, gold: bool = False) -> ImportReport:
    return import_ads(database, read_rows(path), path.name, NOW, gold=gold)


def ads(database: Database) -> dict[str, Ad]:
    with database.read() as session:
        return {ad.id: ad for ad in session.scalars(select(Ad))}


@pytest.mark.parametrize("name", ["ads.jsonl", "ads.csv", "ads.parquet"])
def test_a_file_of_each_kind_comes_in_once(database: Database, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    first = take_in(database, path)
    assert (first.imported, first.known, first.problems) == (2, 0, [])
    stored = ads(database)
    assert {i: (ad.language, ad.source, ad.text) for i, ad in stored.items()} == {
        "a1": ("en", name, ROWS[0]["text"]),
        "a2": ("nl", name, ROWS[1]["text"]),
    }
    again = take_in(database, path)
    assert (again.imported, again.known, again.problems) == (0, 2, [])
    assert len(ads(database)) == 2


BAD_LINES = [
    (b"{", "not JSON"),
    (b"[1]", "no JSON object"),
    (b'{"id": "b", "text": "\xff"}', "not UTF-8"),
    (b'{"text": "secret words"}', "id: Field required"),
    (b'{"id": "b"}', "text: Field required"),
    (b'{"id": "b", "text": "  "}', "text: Value error, is blank"),
    (b'{"id": "b", "text": 5}', "text: Input should be a valid string"),
    (b'{"id": "", "text": "secret words"}', "id: Input should be a valid string"),
    (b'{"id": "b", "text": "secret \\u0000"}', "NUL"),
    (b'{"id": "b", "text": "secret \\ud800"}', "surrogate"),
    (b'{"id": "b", "text": "secret words", "language": "english"}', "language"),
    (b'{"id": "' + b"b" * 201 + b'", "text": "secret words"}', "at most 200"),
    (b'{"id": "b", "text": "' + b"secret" * 4000 + b'"}', "at most 20000"),
    (b'{"id": "a1", "text": "secret words"}', "there already, with another text"),
]


def test_bad_rows_are_named_by_line_and_the_rest_comes_in(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "ads.jsonl"
    good = [json.dumps(row).encode() for row in ROWS]
    path.write_bytes(b"\n".join([good[0], *(line for line, _ in BAD_LINES), b"", good[1]]))
    report = take_in(database, path)
    assert report.imported == 2
    assert [problem.line for problem in report.problems] == list(range(2, len(BAD_LINES) + 2))
    for problem, (_, said) in zip(report.problems, BAD_LINES, strict=True):
        assert said in problem.what
        assert "secret" not in problem.what
    assert ads(database)["a1"].text == ROWS[0]["text"]


def test_bad_rows_of_csv_are_named_by_the_line_where_they_begin(sqlite_database: Database, tmp_path: Path) -> None:
    path = tmp_path / "ads.csv"
    path.write_bytes(b'\xef\xbb\xbfid,text\na1,"two\nlines"\na2\na3,\xff\xfe\na4,fine\n')
    report = take_in(sqlite_database, path)
    assert [problem.line for problem in report.problems] == [4, 5]
    assert {i: ad.text for i, ad in ads(sqlite_database).items()} == {"a1": "two\nlines", "a4": "fine"}


def test_contact_details_never_reach_the_database(sqlite_database: Database, tmp_path: Path) -> None:
    text = "Bel 06-12345678 of mail naar info@voorbeeld.example, 20 euro per uur"
    take_in(sqlite_database, write(tmp_path / "ads.jsonl", [{"id": "a", "text": text}]))
    stored = ads(sqlite_database)["a"].text
    assert len(stored) == len(text)
    assert "20 euro per uur" in stored
    sqlite_database.empty_log()
    files = b"".join(path.read_bytes() for path in tmp_path.glob("labeling.db*"))
    assert b"12345678" not in files
    assert b"voorbeeld" not in files


def test_a_long_file_is_prepared_by_several_processes(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeling.intake.importing.BATCH", 50)
    told: list[int] = []
    rows = ((n + 1, {"id": f"a{n}", "text": f"Wij zoeken mensen voor de oogst, plek {n}", "language": "nl"}) for n in range(420))
    report = import_ads(sqlite_database, rows, "x.jsonl", NOW, done=told.append)
    assert report.imported == sum(told) == 420
    with sqlite_database.read() as session:
        assert session.scalars(select(Ad.source).distinct()).all() == ["x.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ads.xlsx", b"", "must end in"),
        ("none.jsonl", None, "Cannot read"),
        ("ads.csv", b"name,text\n", "must name the columns"),
        ("ads.parquet", b"no parquet", "no whole Parquet"),
    ],
)
def test_a_file_that_is_of_no_use_is_refused(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(IntakeError, match=said):
        list(read_rows(tmp_path / name))


GOLD = {
    "id": "g1",
    "text": ROWS[0]["text"],
    "lang": "en",
    "labels": ["debt_or_fees"],
    "spans": [{"start": 16, "end": 58, "label": "debt_or_fees"}],
    "document_type": "recruitment_post",
}


def test_labelled_examples_come_in_as_gold_items(database: Database, tmp_path: Path) -> None:
    report = take_in(database, write(tmp_path / "gold.jsonl", [GOLD]), gold=True)
    assert report.imported == 1
    ad = ads(database)["g1"]
    assert ad.slots_left == 0
    assert ad.gold is not None
    assert ad.gold["labels"] == {label: label == "debt_or_fees" for label in packaged_taxonomy().label_ids}
    assert ad.gold["document_type"] == "recruitment_post"
    assert take_in(database, write(tmp_path / "gold.jsonl", [GOLD]), gold=True).known == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["nonsense"]}, "not a label"),
        ({"labels": None}, "labels"),
        ({"spans": [{"start": 16, "end": 5800, "label": "debt_or_fees"}]}, "does not fit"),
    ],
)
def test_a_gold_item_with_a_wrong_answer_is_refused(
    sqlite_database: Database, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    report = take_in(sqlite_database, write(tmp_path / "gold.jsonl", [GOLD | change]), gold=True)
    assert report.imported == 0
    assert said in report.problems[0].what


def test_an_ad_that_nobody_has_read_can_become_gold_and_another_cannot(database: Database, tmp_path: Path) -> None:
    set_project(database, overlap=1)
    path = write(tmp_path / "ads.jsonl", [{**GOLD, "id": "g1"}, {**GOLD, "id": "g2"}])
    take_in(database, path)
    ann = add_account(database, "ann")
    with database.write() as session:
        taken = next_assignment(session, ann, NOW)
        assert taken is not None
        read = taken.ad.id
    report = take_in(database, path, gold=True)
    assert (report.imported, [problem.what[:2] for problem in report.problems]) == (1, ["id"])
    assert {i: ad.gold is not None for i, ad in ads(database).items()} == {"g1": read != "g1", "g2": read != "g2"}


def test_numbers_of_ads_are_not_used_twice(database: Database) -> None:
    add_ads(database, 2)
    last = max(ad.number for ad in ads(database).values())
    with database.write() as session:
        for ad_id in ("ad-0", "ad-1"):
            erase_ad(session, ad_id, None, NOW + timedelta(days=1))
    add_ads(database, 1)
    assert ads(database)["ad-0"].number > last


def test_the_audit_counts_an_import(database: Database) -> None:
    add_ads(database, 3)
    with database.read() as session:
        noted = session.scalars(select(Audit)).one()
    assert (noted.action, noted.detail) == ("imported", "3 imported, 0 known, 0 refused")
