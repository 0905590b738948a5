"""The model card, generated from the run's facts and figures."""

from typing import Any

from models.base import DEFAULT_BASE
from models.taxonomy import Taxonomy
from training.provenance import ANCESTORS, AVERAGED, DIFFERS, LANGUAGES, RECALIBRATED, STARTED_FROM, How, training_data
from training.report import report_markdown, template, zero_shot_only
from training.settings import LOSS_OPTIONS


def model_card(*, taxonomy: Taxonomy, facts: dict[str, Any], how: How, data_digest: str, **details: Any) -> str:
    """Markdown of the card.

    Args:
        taxonomy: what the model labels.
        facts: the facts of the evaluation report.
        how: how its weights came to be (``training.provenance``).
        data_digest: of the data that calibrated it and gave the figures.
        details: ``name``, ``version``, ``counts`` and ``data_description`` of those data, ``blinded``, ``precision``,
            ``git_commit``.
    """
    report = report_markdown(facts)
    figures = facts["figures"]
    base = how["base"]
    return str(
        template("MODEL_CARD.md").render(
            taxonomy=taxonomy,
            figures_table=report[report.index("| | value") :].replace("\n## ", "\n### "),
            how=dict.fromkeys((RECALIBRATED, AVERAGED, STARTED_FROM)) | how,
            base=f"{base} (intfloat/multilingual-e5-small, 4-bit)" if base == DEFAULT_BASE else base,
            data_digest=data_digest,
            unseen=facts["unseen"],
            texts=figures["examples"],
            zero_shot_texts=sum(entry["examples"] for entry in figures["languages"].values() if entry["zero_shot"]),
            zero_shot_only=zero_shot_only(figures),
            trained_on=_trained_on(how),
            differs=_differs(how),
            losses=_losses(how),
            **details,
        )
    )


def _trained_on(how: How) -> str:
    """The data of each training."""
    sets = [
        ", ".join(f"`{file.path}`{f' × {file.share:g}' if file.share != 1 else ''} (SHA-256 `{file.sha256}`)" for file in files)
        for files in training_data(how)
    ]
    several = " (each of the averaged bundles on one of these)" if len(sets) > 1 else ""
    return " or ".join(sets) + several if sets else "data that the bundle does not name"


def _losses(how: How) -> str:
    """What of the losses is not as it is when nothing is said; nothing in bundles that are older than the choice."""
    said = []
    if (loss := how.get("loss", "cross_entropy")) != "cross_entropy":
        options = ", ".join(f"{name.replace('_', ' ')} {how[setting]:g}" for setting, name in LOSS_OPTIONS.get(loss, {}).items())
        said.append(f"{loss} label loss ({options})")
    if smoothing := how.get("label_smoothing"):
        said.append(f"label smoothing {smoothing:g}")
    if weight := how.get("consistency_weight"):
        said.append(f"each text read twice (consistency loss, weight {weight:g})")
    return "".join(f", {one}" for one in said)


def _differs(how: How) -> str:
    """The settings in which averaged bundles differ, but for their data."""
    several = {name: values for name, values in how.get(DIFFERS, {}).items() if name not in ("data", LANGUAGES, ANCESTORS)}
    return ", ".join(f"{name} ({' and '.join(map(str, values))})" for name, values in several.items())
