"""The report of a benchmark: ``report.json``, ``report.md``, and the table a console shows."""

import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from training.benchmark.figures import OVERALL
from training.report import template

NAMES = {
    "network": "this network",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "commonest_label": "commonest label",
}


def write_report(folder: Path, facts: dict[str, Any]) -> Path:
    """Write both files; returns the Markdown one."""
    (folder / "report.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
    path = folder / "report.md"
    page = template("bench.md", percent=percent, points=points, between=between, cell=cell, span_f1=span_f1)
    path.write_text(str(page.render(**facts, systems=systems(facts), overall=OVERALL)), encoding="utf-8")
    return path


def systems(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name for a reader → figures: the baselines, then the network, then what is published."""
    ours = {NAMES[name]: entry for name, entry in {**facts["baselines"], "network": facts["network"]}.items()}
    published = facts.get("published")
    return ours | ({} if published is None else {f"published: {published['source']}": published})


def console_table(facts: dict[str, Any]) -> Table:
    """The overall figures of every system, in percent, with 95% intervals and the spread over seeds."""
    texts, runs = facts["data"]["texts"]["test"], len(facts["seeds"])
    spans = "span_token_f1" in facts["network"]
    title = f"{facts['data']['name']}: {texts} test texts" + (f", mean ± spread of {runs} seeds" if runs > 1 else "")
    headings = [name.replace("_", "-").replace("f1", "F1") for name in OVERALL]
    table = Table("", *headings, *(["span token-F1"] if spans else []), title=escape(title))
    for name, entry in systems(facts).items():
        cells = [percent(entry, figure) for figure in OVERALL]
        if spans:
            cells.append(span_f1(entry))
        table.add_row(escape(name), *cells)
    for column in table.columns:
        column.overflow = "fold"  # in a narrow log an interval is broken, not cut off
    return table


def percent(entry: dict[str, Any], figure: str) -> str:
    """``84.1 ± 0.3 (82.9–85.2)``; spread and interval where they are known."""
    if figure not in entry:
        return "–"
    spread, interval = entry.get(f"{figure}_spread"), entry.get(f"{figure}_interval")
    value = f"{100 * entry[figure]:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
    return value if interval is None else f"{value} ({between(interval)})"


def span_f1(entry: dict[str, Any]) -> str:
    """Token-F1 in percent; a dash for a system that gives no words, ``not measured`` where the test split has no span."""
    if "span_token_f1" not in entry:
        return "–"
    return "not measured" if entry["span_token_f1"] is None else f"{100 * entry['span_token_f1']:.1f}"


def between(interval: list[float]) -> str:
    """``82.9–85.2``"""
    low, high = interval
    return f"{100 * low:.1f}–{100 * high:.1f}"


def points(interval: list[float]) -> str:
    """``+1.2 to +3.4``"""
    return " to ".join(f"{100 * value:+.1f}" for value in interval)


def cell(name: str) -> str:
    """A label or a language in a Markdown table, which a ``|`` or a new line in it would tear."""
    return " ".join(name.split()).replace("\\", "\\\\").replace("|", "\\|") or "(empty)"
