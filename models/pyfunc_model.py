"""The bundle as an MLflow ``pyfunc``: a table of texts in, a table of scores out.

MLflow stores this file as source ("models from code") beside the bundle; no pickle is written. ``predict`` takes a data
frame with ``text`` and, optionally, ``language``; it gives one row a text: ``language``, ``document_type``, for each label
its probability and ``<label>_status``, and ``evidence`` as JSON (label → list of [start, end]).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from models.bundle import open_bundle
from models.registry import BUNDLE_ARTIFACT
from models.runtime import Scorer
from models.scores import AdScore
from models.settings import ModelSettings


class SignaalPyfunc(PythonModel):
    """Loads the bundle among its artifacts and scores with the same ``Scorer`` as the service.

    MLflow keeps the last instance in a global for good, so the scorer, which is half a gigabyte, lives with the context: whoever
    lets the loaded model go lets both go.
    """

    def __init__(self) -> None:
        self._scorers: WeakKeyDictionary[PythonModelContext, Scorer] = WeakKeyDictionary()

    def load_context(self, context: PythonModelContext) -> None:
        self._scorers[context] = Scorer.of_bundle(open_bundle(Path(context.artifacts[BUNDLE_ARTIFACT])), ModelSettings())

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        languages: Sequence[str | None] | None = None
        if "language" in model_input.columns:
            languages = [value if isinstance(value, str) and value else None for value in model_input["language"]]
        scores = self._scorers[context].score(list(model_input["text"]), languages)
        return pd.DataFrame([flat_row(score) for score in scores], index=model_input.index)


def flat_row(score: AdScore) -> dict[str, str | float]:
    """One answer as one row of a table."""
    row: dict[str, str | float] = {"language": score.language.code, "document_type": score.document_type}
    labels = score.indicators | score.counter_indicators
    for label, found in labels.items():
        row[label] = found.probability
        row[f"{label}_status"] = found.status.value
    row["evidence"] = json.dumps(
        {label: [[s.start, s.end] for s in found.evidence] for label, found in labels.items() if found.evidence}
    )
    return row


set_model(SignaalPyfunc())
