"""What simple means give on the same splits, so that the network's figures have something to stand beside.

Both decide per indicator and know nothing of evidence: a keyword list, and TF-IDF of character n-grams with logistic
regression, its thresholds chosen on the validation split as the network's are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from models.calibration import choose_thresholds
from models.example import LabelledExample, Split
from models.taxonomy import Taxonomy
from models.text import normalise
from training.dataset import label_matrix
from training.evaluation import Array, Predictions, bootstrap_f1, false_alert_share, multi_label_scores

KEYWORDS = Path(__file__).with_name("keywords.yaml")


def baseline_figures(splits: dict[Split, list[LabelledExample]], taxonomy: Taxonomy) -> dict[str, Any]:
    """Macro-F1 over the indicators with interval, F1 per label and false-alert share, for each baseline on the test split."""
    keywords = _keyword_predictions(splits["test"], taxonomy)
    return {"keywords": _figures(keywords), "tfidf_logistic_regression": _figures(_tfidf_predictions(splits, taxonomy))}


def _figures(p: Predictions) -> dict[str, Any]:
    scores = multi_label_scores(p)
    return {
        "macro_f1": scores["macro_f1"],
        "macro_f1_interval": bootstrap_f1(p)["macro_f1"],
        "false_alert_share": false_alert_share(p),
        "label_f1": {label: scores["labels"][label]["f1"] for label in p.taxonomy.indicator_ids},
    }


def _plain(examples: Sequence[LabelledExample]) -> list[str]:
    return [normalise(example.text).text.casefold() for example in examples]


def _predictions(examples: Sequence[LabelledExample], taxonomy: Taxonomy, scores: Array, present_from: Array) -> Predictions:
    truth = label_matrix(examples, taxonomy.label_ids).numpy().astype(np.float64)
    return Predictions(taxonomy, examples, truth, scores, present_from, present_from)


def _keyword_predictions(examples: Sequence[LabelledExample], taxonomy: Taxonomy) -> Predictions:
    lists: dict[str, list[list[str]]] = yaml.safe_load(KEYWORDS.read_text(encoding="utf-8"))
    phrases = {label: [phrase.casefold() for part in lists.get(label, []) for phrase in part] for label in taxonomy.label_ids}
    found = [[float(any(p in text for p in phrases[label])) for label in taxonomy.label_ids] for text in _plain(examples)]
    return _predictions(examples, taxonomy, np.array(found), np.full(len(taxonomy.label_ids), 0.5))


def _tfidf_predictions(splits: dict[Split, list[LabelledExample]], taxonomy: Taxonomy) -> Predictions:
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    train = vectorizer.fit_transform(_plain(splits["train"]))
    truth = {split: label_matrix(splits[split], taxonomy.label_ids).numpy() for split in splits}
    model = OneVsRestClassifier(LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))
    model.fit(train, truth["train"])
    scores = {s: model.predict_proba(vectorizer.transform(_plain(splits[s]))) for s in ("validation", "test")}
    present_from = [
        choose_thresholds(scores["validation"][:, i], truth["validation"][:, i])[1] for i in range(scores["test"].shape[1])
    ]
    return _predictions(splits["test"], taxonomy, scores["test"], np.array(present_from))
