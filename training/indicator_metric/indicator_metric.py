"""Multi-label scores as a module for ``evaluate``: per label, and their means. Works without a hub.

Labels without a positive in ``references`` are left out of the means: their F1 is not defined.
"""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support


class IndicatorMetric(evaluate.Metric):
    """``compute(predictions=…, references=…, thresholds=…, labels=…)``."""

    def _info(self):
        return evaluate.MetricInfo(
            description="Precision, recall, F1 and average precision per label, and macro and micro means.",
            citation="",
            inputs_description="predictions: probabilities [examples, labels]; references: 0/1 [examples, labels]; "
            "thresholds: one a label (0.5 when not given); labels: names.",
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("float64")),
                }
            ),
        )

    def _compute(self, predictions, references, thresholds=None, labels=None):
        probabilities, truth = np.asarray(predictions), np.asarray(references) >= 0.5
        thresholds = np.full(truth.shape[1], 0.5) if thresholds is None else np.asarray(thresholds)
        names = labels or [str(i) for i in range(truth.shape[1])]
        decided = probabilities >= thresholds
        precision, recall, f1, support = precision_recall_fscore_support(truth, decided, average=None, zero_division=0.0)
        per_label = {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "average_precision": float(average_precision_score(truth[:, i], probabilities[:, i])) if support[i] else None,
                "support": int(support[i]),
            }
            for i, name in enumerate(names)
        }
        known = [entry for entry in per_label.values() if entry["support"]]
        micro = precision_recall_fscore_support(truth, decided, average="micro", zero_division=0.0)
        return {
            "macro_f1": float(np.mean([entry["f1"] for entry in known])) if known else None,
            "micro_f1": float(micro[2]),
            "mean_average_precision": float(np.mean([entry["average_precision"] for entry in known])) if known else None,
            "labels": per_label,
        }
