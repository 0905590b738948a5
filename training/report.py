"""The evaluation report: ``report.json``, ``report.md`` and ``report.html`` with the plots in it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt

TEMPLATES = Path(__file__).parent / "templates"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(values: list[float] | None) -> str:
    return "–" if not values else f"{values[0]:.2f}–{values[1]:.2f}"


def template(name: str, **filters: Callable[..., str]) -> Any:
    """A template of this room, with the filters ``share`` and ``interval``, and those given."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=select_autoescape(["html"]),
    )
    environment.filters |= {"share": _share, "interval": _interval, **filters}
    return environment.get_template(name)


def report_markdown(facts: dict[str, Any]) -> str:
    """The report's text and tables; ``facts`` as in ``write_report``."""
    capabilities = facts["figures"]["indicator_check"].values()
    languages = sorted({language for entry in capabilities for language in entry["languages"]})
    return str(template("report.md").render(**facts, check_languages=languages))


def write_report(folder: Path, facts: dict[str, Any], plots: dict[str, Path]) -> Path:
    """Write the report; returns the HTML file.

    Args:
        folder: where to; is made.
        facts: ``model`` (the identity as a dictionary), ``data_digest``, ``figures``, ``baselines``.
        plots: title → PNG file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    markdown = report_markdown(facts)
    pictures = "".join(f"\n## {title}\n\n![{title}]({path.name})\n" for title, path in plots.items())
    (folder / "report.md").write_text(markdown + pictures, encoding="utf-8")
    encoded = {title: base64.b64encode(path.read_bytes()).decode() for title, path in plots.items()}
    body = MarkdownIt().enable("table").render(markdown)
    html = folder / "report.html"
    html.write_text(template("report.html").render(body=body, plots=encoded, **facts), encoding="utf-8")
    return html
