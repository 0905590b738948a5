"""The flat form of results, for CSV and Parquet: one row an ad, for each label a probability and a status.

Evidence has no flat form; it is one column of JSON, ``{"debt_or_fees": [{"start": 3, "end": 17, "text": "…"}], …}``, in
which labels without evidence are left out.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

ROWS_AT_ONCE = 1000
MODEL_COLUMNS = ("name", "version", "bundle_digest", "run_id", "taxonomy_version")


def flat_schema(labels: Sequence[str]) -> pyarrow.Schema:
    """Columns and their types, in order."""
    columns: list[tuple[str, Any]] = [
        ("line", pyarrow.int64()),
        ("id", pyarrow.string()),
        ("language", pyarrow.string()),
        ("language_confidence", pyarrow.float64()),
        ("language_evaluated", pyarrow.bool_()),
        ("document_type", pyarrow.string()),
        ("document_type_probability", pyarrow.float64()),
    ]
    for label in labels:
        columns += [(f"{label}_probability", pyarrow.float64()), (f"{label}_status", pyarrow.string())]
    columns.append(("evidence", pyarrow.string()))
    columns += [(f"model_{name}", pyarrow.string()) for name in MODEL_COLUMNS]
    return pyarrow.schema(columns)


def flat_row(result: dict[str, Any]) -> dict[str, Any]:
    """One line of the NDJSON output as a row."""
    found = result["indicators"] | result["counter_indicators"]
    evidence = {label: one["evidence"] for label, one in found.items() if one["evidence"]}
    row = {
        "line": result["line"],
        "id": result["id"],
        "language": result["language"]["code"],
        "language_confidence": result["language"]["confidence"],
        "language_evaluated": result["language"]["evaluated"],
        "document_type": result["document_type"]["value"],
        "document_type_probability": result["document_type"]["probability"],
        "evidence": json.dumps(evidence, ensure_ascii=False),
    }
    for label, one in found.items():
        row |= {f"{label}_probability": one["probability"], f"{label}_status": one["status"]}
    return row | {f"model_{name}": result["model"][name] for name in MODEL_COLUMNS}


def _rows(ndjson: Path) -> Iterator[dict[str, Any]]:
    with ndjson.open(encoding="utf-8") as lines:
        for line in lines:
            yield flat_row(json.loads(line))


def write_csv(ndjson: Path, out: Path, labels: Sequence[str]) -> None:
    """Turn NDJSON results into CSV."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, flat_schema(labels).names)
        writer.writeheader()
        writer.writerows(_rows(ndjson))


def write_parquet(ndjson: Path, out: Path, labels: Sequence[str]) -> None:
    """Turn NDJSON results into Parquet."""
    schema = flat_schema(labels)
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        rows: list[dict[str, Any]] = []
        for row in _rows(ndjson):
            rows.append(row)
            if len(rows) == ROWS_AT_ONCE:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
