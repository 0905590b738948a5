import csv
import json
from pathlib import Path

import pyarrow.parquet

from serving.bulk.flat import flat_row, flat_schema, write_csv, write_parquet

LABELS = ["debt_or_fees", "states_limits"]
MODEL = {"name": "signaal", "version": "1", "bundle_digest": "ab", "run_id": None, "taxonomy_version": "1.0"}


def result(line: int) -> dict[str, object]:
    return {
        "id": f"a{line}",
        "language": {"code": "nl", "confidence": 0.5, "evaluated": True},
        "document_type": {"value": "service_ad", "probability": 0.25},
        "indicators": {
            "debt_or_fees": {"probability": 0.9, "status": "present", "evidence": [{"start": 0, "end": 6, "text": 'dé "x"'}]}
        },
        "counter_indicators": {"states_limits": {"probability": 0.1, "status": "absent", "evidence": []}},
        "line": line,
        "model": MODEL,
    }


def written(folder: Path, count: int) -> Path:
    path = folder / "results.ndjson"
    path.write_text("".join(json.dumps(result(i + 1)) + "\n" for i in range(count)), encoding="utf-8")
    return path


def test_a_row_has_exactly_the_columns_of_the_schema() -> None:
    row = flat_row(result(1))
    assert set(row) == set(flat_schema(LABELS).names)
    assert json.loads(row["evidence"]) == {"debt_or_fees": [{"start": 0, "end": 6, "text": 'dé "x"'}]}


def test_csv_and_parquet_hold_every_result(tmp_path: Path) -> None:
    source = written(tmp_path, 2500)
    write_csv(source, tmp_path / "out.csv", LABELS)
    write_parquet(source, tmp_path / "out.parquet", LABELS)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_parquet = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(from_csv) == len(from_parquet) == 2500
    for one, other in zip(from_csv, from_parquet, strict=True):
        assert list(one) == list(other)
        assert {name: "" if value is None else str(value) for name, value in other.items()} == one
    assert from_parquet[-1]["line"] == 2500
    assert from_parquet[0]["model_run_id"] is None
    assert from_parquet[0]["debt_or_fees_probability"] == 0.9


def test_no_results_still_give_the_columns(tmp_path: Path) -> None:
    source = written(tmp_path, 0)
    write_csv(source, tmp_path / "out.csv", LABELS)
    write_parquet(source, tmp_path / "out.parquet", LABELS)
    assert (tmp_path / "out.csv").read_text().strip().split(",") == flat_schema(LABELS).names
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").schema.names == flat_schema(LABELS).names
