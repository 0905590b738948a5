"""The evaluation report: ``report.json``, ``report.md`` and ``report.html`` with the plots in it."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt

TEMPLATES = Path(__file__).parent / "templates"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(values: list[float] | None) -> str:
    return "–" if not values else f"{values[0]:.2f}–{values[1]:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _signed_interval(values: Sequence[float] | None) -> str:
    return "–" if not values else f"{values[0]:+.3f} to {values[1]:+.3f}"


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def template(name: str, **filters: Callable[..., str]) -> Any:
    """A template of this room, with the filters for figures, differences and their intervals, and those given."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=select_autoescape(["html"]),
    )
    environment.filters |= {
        "share": _share,
        "interval": _interval,
        "signed": _signed,
        "signed_interval": _signed_interval,
        "probability": _probability,
        **filters,
    }
    return environment.get_template(name)


def report_markdown(facts: dict[str, Any]) -> str:
    """The report's text and tables; ``facts`` as in ``write_report``."""
    capabilities = facts["figures"]["indicator_check"].values()
    languages = sorted({language for entry in capabilities for language in entry["languages"]})
    alone = zero_shot_only(facts["figures"])
    return str(template("report.md").render(**facts, check_languages=languages, zero_shot_only=alone))


def zero_shot_only(figures: dict[str, Any]) -> bool:
    """Whether training saw the language of none of the test texts: then all figures are over such languages."""
    return all(entry["zero_shot"] for entry in figures["languages"].values())


def write_report(folder: Path, facts: dict[str, Any], plots: dict[str, Path]) -> Path:
    """Write the report; returns the HTML file.

    Args:
        folder: where to; is made.
        facts: ``model`` (the identity as a dictionary), ``data_digest``, ``unseen`` (``provenance.Unseen``), ``started_from``
            (what training started from, or None), ``figures``, ``baselines``.
        plots: title → PNG file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    markdown = report_markdown(facts)
    pictures = "".join(f"\n## {title}\n\n![{title}]({path.name})\n" for title, path in plots.items())
    (folder / "report.md").write_text(markdown + pictures, encoding="utf-8")
    html = folder / "report.html"
    title = f"Evaluation of {facts['model']['name']} {facts['model']['version']}"
    html.write_text(page(title, markdown, plots), encoding="utf-8")
    return html


def page(title: str, markdown: str, plots: Mapping[str, Path]) -> str:
    """A report as one HTML page that needs no other file."""
    encoded = {name: base64.b64encode(path.read_bytes()).decode() for name, path in plots.items()}
    body = MarkdownIt().enable("table").render(markdown)
    return str(template("report.html").render(title=title, body=body, plots=encoded))
