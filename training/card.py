"""The model card, generated from the run's facts and figures."""

from typing import Any

from models.taxonomy import Taxonomy
from training.report import report_markdown, template


def model_card(*, taxonomy: Taxonomy, facts: dict[str, Any], **details: Any) -> str:
    """Markdown of the card.

    Args:
        taxonomy: what the model labels.
        facts: the facts of the evaluation report.
        details: ``name``, ``version``, ``counts``, ``data_digest``, ``data_description``, ``base``, ``settings``,
            ``blinded``, ``started_from``, ``precision``, ``git_commit``.
    """
    report = report_markdown(facts)
    tables = report[report.index("| | value") :].replace("\n## ", "\n### ")
    return str(template("MODEL_CARD.md").render(taxonomy=taxonomy, figures_table=tables, **details))
