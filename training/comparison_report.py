"""The report of a comparison: ``comparison.json``, ``comparison.md`` and ``comparison.html`` with the plots in it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.comparison import FIGURES
from training.comparison_plots import draw_comparison
from training.report import page, template


def write_comparison(folder: Path, facts: dict[str, Any], verdicts: Sequence[dict[str, Any]] = ()) -> Path:
    """Write the report; returns the HTML file.

    Args:
        folder: where to; is made.
        facts: as ``Comparison.to_json``.
        verdicts: what the gates said, if they were asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps({**facts, "gates": list(verdicts)}, indent=1), encoding="utf-8")
    names = {name: text for name, (text, _) in FIGURES.items()}
    markdown = str(template("comparison.md").render(**facts, verdicts=verdicts, names=names))
    plots = draw_comparison(facts, folder)
    pictures = "".join(f"\n## {title}\n\n![{title}]({path.name})\n" for title, path in plots.items())
    (folder / "comparison.md").write_text(markdown + pictures, encoding="utf-8")
    html = folder / "comparison.html"
    title = f"{facts['a']['name']} {facts['a']['version']} and {facts['b']['name']} {facts['b']['version']}"
    html.write_text(page(title, markdown, plots), encoding="utf-8")
    return html
