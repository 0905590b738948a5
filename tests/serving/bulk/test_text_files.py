import base64
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.bulk.records import Entry, Place
from serving.bulk.text_files import CsvInput, NdjsonInput
from serving.errors import BulkError
from serving.records import Columns
from serving.schemas import Limits

LIMITS = Limits(max_ads=64, max_characters=100, label_ids=())
LONGEST = 400


def ndjson(path: Path, raw: bytes, start: Place = Place(), columns: Columns = Columns()) -> list[Entry]:  # noqa: B008
    path.write_bytes(raw)
    return list(NdjsonInput(path, columns, LIMITS, LONGEST).entries(start))


def csv_entries(path: Path, raw: bytes, start: Place = Place(), columns: Columns = Columns()) -> list[Entry]:  # noqa: B008
    path.write_bytes(raw)
    return list(CsvInput(path, columns, LIMITS, LONGEST).entries(start))


def texts(entries: list[Entry]) -> list[str | None]:
    return [entry.ad.text if entry.ad else None for entry in entries]


def test_ndjson_gives_ads_with_their_lines(tmp_path: Path) -> None:
    raw = b'\xef\xbb\xbf{"id": "a", "text": "one", "language": "nl", "price": 5}\r\n\n{"text": "two"}'
    first, second = ndjson(tmp_path / "in.ndjson", raw)
    assert first.ad
    assert second.ad
    assert (first.line, first.ad.id, first.ad.text, first.ad.language) == (1, "a", "one", "nl")
    assert (second.line, second.ad.id, second.ad.language) == (3, "3", None)
    assert second.after == Place(len(raw), 3)


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{oops", "Not JSON."),
    "a list": (b"[1]", "Not a JSON object."),
    "no text": (b'{"id": "a"}', "There is no field 'text'."),
    "a blank text": (b'{"text": " "}', "text: The text is empty or blank"),
    "a long text": (b'{"text": "' + b"x" * 101 + b'"}', "text: The text has 101 characters; at most 100"),
    "a number": (b'{"text": 5}', "text: This must be a string."),
    "a bad language": (b'{"text": "x", "language": "Dutch"}', "language: This must be an ISO 639 code"),
    "a bad id": (b'{"text": "x", "id": true}', "id: This must be a string."),
    "not UTF-8": (b'{"text": "\xff"}', "Not JSON. Byte 10 is not UTF-8."),
    "a surrogate": (rb'{"text": "\ud800"}', "Not JSON."),
    "NaN": (b'{"text": "x", "price": NaN}', "Not JSON."),
    "deep nesting": (b"[" * 300, "Not JSON."),
    "a longer line than is read": (b'{"text": "x", "y": "' + b"y" * 500 + b'"}', "The line is longer than 400 bytes."),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_kept_with_its_reason_and_the_next_is_read(tmp_path: Path, case: str) -> None:
    raw, reason = BAD_LINES[case]
    bad, good = ndjson(tmp_path / "in.ndjson", raw + b'\n{"text": "good"}\n')
    assert bad.ad is None
    assert bad.line == 1
    assert bad.reason.startswith(reason)
    assert bad.kept
    if "raw" in bad.kept:
        assert bad.kept["raw"].encode() == raw + b"\n"
    elif "raw_base64" in bad.kept:
        assert base64.b64decode(bad.kept["raw_base64"]) == raw + b"\n"
    else:
        assert bad.kept == {"offset": 0, "bytes": len(raw) + 1}
    assert good.ad
    assert (good.line, good.ad.text) == (2, "good")


def test_ids_may_be_numbers_and_columns_may_be_named(tmp_path: Path) -> None:
    columns = Columns(text="body", id="nr", language="lang")
    (entry,) = ndjson(tmp_path / "in.ndjson", b'{"nr": 17, "body": "x", "lang": "und", "text": 1, "id": 2}', columns=columns)
    assert entry.ad
    assert (entry.ad.id, entry.ad.text, entry.ad.language) == ("17", "x", None)


lines = st.lists(
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" ").replace(b"\r", b" "))
    | st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode())
    | st.just(b"z" * 900),
    max_size=12,
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.booleans())
def test_no_line_is_lost_and_reading_may_go_on_after_any(
    tmp_path: Path, given_lines: list[bytes], end: bytes, bom: bool, last: bool
) -> None:
    raw = b"\xef\xbb\xbf" * bom + end.join(given_lines) + end * last
    entries = ndjson(tmp_path / "in.ndjson", raw)
    body = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert [entry.line for entry in entries] == [number for number, line in enumerate(body, 1) if line.strip()]
    for number, entry in enumerate(entries):
        assert (entry.ad is None) == bool(entry.reason)
        assert ndjson(tmp_path / "in.ndjson", raw, entry.after) == entries[number + 1 :]


def test_csv_gives_ads_with_quoted_line_breaks_and_the_first_line_of_each(tmp_path: Path) -> None:
    raw = '\ufefftext,id,language\n"one,\n""two""",a,nl\n\nthree,b,\n'.encode()
    first, second = csv_entries(tmp_path / "in.csv", raw)
    assert first.ad
    assert second.ad
    assert (first.line, first.ad.text, first.ad.language) == (2, 'one,\n"two"', "nl")
    assert (second.ad.id, second.ad.text, second.ad.language) == ("b", "three", None)
    assert second.line == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    raw = delimiter.join(["id", "text"]) + "\n" + delimiter.join(["a", "hello"]) + "\n"
    assert texts(csv_entries(tmp_path / "in.csv", raw.encode())) == ["hello"]


def test_bad_csv_records_are_kept_and_the_next_is_read(tmp_path: Path) -> None:
    raw = b"id,text\na,one,more\nb,\xff\nc\nd, \ne," + b"x" * 900 + b'\nf,"' + b"y" * 900 + b'"\ng,good\n'
    entries = csv_entries(tmp_path / "in.csv", raw)
    assert [(entry.line, entry.reason) for entry in entries[:4]] == [
        (2, "The record has 3 fields, the header 2."),
        (3, "Not UTF-8."),
        (4, "The record has 1 fields, the header 2."),
        (5, "text: The text is empty or blank; there is nothing to score."),
    ]
    assert [entry.kept for entry in entries[:3]] == [{"raw": "a,one,more\n"}, {"raw_base64": "Yiz/Cg=="}, {"raw": "c\n"}]
    assert [(entry.line, entry.reason) for entry in entries[4:6]] == [
        (6, "Not CSV: the record is longer than 400 bytes."),
        (7, "Not CSV: the record is longer than 400 bytes."),
    ]
    assert entries[4].kept == {"offset": raw.index(b"e,xx"), "bytes": 903}
    assert [(entry.line, entry.ad.text if entry.ad else None) for entry in entries[6:]] == [(8, "good")]


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_rest_of_the_file(tmp_path: Path) -> None:
    raw = b'id,text\na,"open\n' + b"".join(b"%d,good\n" % i for i in range(100))
    entries = csv_entries(tmp_path / "in.csv", raw)
    assert entries[0].reason == "Not CSV: the record is longer than 400 bytes."
    assert set(texts(entries[1:])) == {"good"}
    assert entries[-1].after.done == len(raw)
    assert entries[0].kept == {"offset": 8, "bytes": raw.index(b"\n", 8 + 400) + 1 - 8}


def test_a_csv_file_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    for raw, says in (
        (b"", "is empty"),
        (b"id;txt\n", "no column 'text'. Did you mean 'txt'?"),
        ("id,text\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ):
        with pytest.raises(BulkError, match=says.replace("?", r"\?")):
            csv_entries(tmp_path / "in.csv", raw)
    with pytest.raises(BulkError, match=r"no column 'nr'.*--id-column"):
        csv_entries(tmp_path / "in.csv", b"id,text\n", columns=Columns(id="nr"))


cells = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_and_reading_may_go_on_after_any_record(
    tmp_path: Path, rows: list[tuple[str, str]], end: str
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *rows])
    raw = file.getvalue().encode()
    entries = csv_entries(tmp_path / "in.csv", raw)
    assert len(entries) == len(rows)
    for number, (entry, (_, text)) in enumerate(zip(entries, rows, strict=True)):
        if entry.ad:
            assert entry.ad.text == text
        else:
            assert "blank" in entry.reason
        assert csv_entries(tmp_path / "in.csv", raw, entry.after) == entries[number + 1 :]
