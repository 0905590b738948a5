"""What a network has to beat: TF-IDF of words and character n-grams with logistic regression, and the commonest label.

The thresholds of a multi-label task are chosen as the network's are. Training is one-against-the-rest (liblinear), which
stays small and quick with many texts and labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline

from training.benchmark.decisions import choose_thresholds
from training.benchmark.figures import Outcome
from training.benchmark.splitting import Splits
from training.benchmark.task import Task

NGRAMS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2)},
    "characters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}
FEATURES = 2**18
"""Of each kind. They are hashed: a table of all n-grams of 100,000 texts would take gigabytes."""


def _steps(**how: Any) -> tuple[HashingVectorizer, TfidfTransformer]:
    return HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, **how), TfidfTransformer(sublinear_tf=True)


def commonest(task: Task, splits: Splits) -> Outcome:
    """Every test text gets the commonest label of the training split."""
    truth = task.matrix(splits["test"])
    decided = np.zeros_like(truth)
    decided[:, task.matrix(splits["train"]).sum(0).argmax()] = True
    return Outcome(decided, truth, task.single)


def tfidf(task: Task, splits: Splits) -> Outcome:
    """TF-IDF and logistic regression on the test split."""
    features = FeatureUnion([(name, make_pipeline(*_steps(**how))) for name, how in NGRAMS.items()])
    truth = {split: task.matrix(examples) for split, examples in splits.items()}
    with Console(stderr=True).status("The baseline: TF-IDF and logistic regression"):
        train = features.fit_transform([example.text for example in splits["train"]])
        learnt = np.flatnonzero(truth["train"].any(0) & ~truth["train"].all(0))
        model = OneVsRestClassifier(LogisticRegression(C=10.0, solver="liblinear", dual=True, max_iter=300))
        model.fit(train, truth["train"][:, learnt].astype(np.int64))

        def probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
            found = np.zeros((len(texts), len(task.labels)))
            found[:, truth["train"].all(0)] = 1.0
            scores = model.predict_proba(features.transform(texts))
            found[:, learnt] = scores[:, -len(learnt) :]
            return found

        test = probabilities([example.text for example in splits["test"]])
        if task.single:
            return Outcome(np.asarray(np.arange(test.shape[1]) == test.argmax(1)[:, None]), truth["test"], task.single)
        validation = probabilities([example.text for example in splits["validation"]])
        return Outcome(test >= choose_thresholds(validation, truth["validation"]), truth["test"], task.single)
