"""What a network has to beat: TF-IDF of words and character n-grams with logistic regression, and the commonest label.

The thresholds of a multi-label task are chosen as the network's are. Training is one-against-the-rest (liblinear), one label
after the other: its weights, a number for each of half a million features, are gone when the texts have been scored. Of 4,000
labels together they would take 17 GB.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from models.example import Split
from training.benchmark.decisions import choose_thresholds
from training.benchmark.figures import Outcome
from training.benchmark.records import BenchmarkExample
from training.benchmark.splitting import Splits
from training.benchmark.task import Task
from training.progress import with_progress

NGRAMS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2)},
    "characters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}
FEATURES = 2**18
"""Of each kind. They are hashed: a table of all n-grams of 100,000 texts would take gigabytes."""
MOST_TEXTS = 200_000
MOST_CHARACTERS = 40_000_000
"""A character takes about 110 bytes while a label is fitted (measured): 4.4 GB."""
SEED = 0


def _steps(**how: Any) -> tuple[HashingVectorizer, TfidfTransformer]:
    return HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, **how), TfidfTransformer(sublinear_tf=True)


def commonest(task: Task, splits: Splits) -> Outcome:
    """Every test text gets the commonest label of the training split."""
    truth = task.matrix(splits["test"])
    decided = np.zeros_like(truth)
    decided[:, task.matrix(splits["train"]).sum(0).argmax()] = True
    return Outcome(decided, truth, task.single)


def texts_to_fit(examples: Sequence[BenchmarkExample]) -> list[BenchmarkExample]:
    """All of them, or as many as fit ``MOST_TEXTS`` and ``MOST_CHARACTERS``, drawn with ``SEED``; in their order."""
    order = np.random.default_rng(SEED).permutation(len(examples))[:MOST_TEXTS]
    characters = np.cumsum([len(examples[row].text) for row in order])
    fitting = max(1, int(np.searchsorted(characters, MOST_CHARACTERS, side="right")))
    return [examples[row] for row in sorted(order[:fitting].tolist())]


def tfidf(task: Task, splits: Splits) -> Outcome:
    """TF-IDF and logistic regression, fitted to the training split, on the test split. A label that all training texts have
    is given to every text, and one that none has to none."""
    features = FeatureUnion([(name, make_pipeline(*_steps(**how))) for name, how in NGRAMS.items()])
    truth = {split: task.matrix(examples) for split, examples in splits.items()}
    texts = {split: [example.text for example in examples] for split, examples in splits.items()}
    train = features.fit_transform(texts["train"])
    to_read: tuple[Split, ...] = ("test",) if task.single else ("test", "validation")
    read = {split: features.transform(texts[split]) for split in to_read}
    # float32: of 100,000 texts and 1,000 labels that is 400 MB.
    logits = {split: np.full((len(texts[split]), len(task.labels)), -np.inf, dtype=np.float32) for split in read}
    everywhere = truth["train"].all(0)
    learnt = np.flatnonzero(truth["train"].any(0) & ~everywhere).tolist()
    for column in with_progress(learnt, "The baseline: TF-IDF and logistic regression"):
        model = LogisticRegression(C=10.0, solver="liblinear", dual=True, max_iter=300, random_state=SEED)
        model.fit(train, truth["train"][:, column])
        for split, rows in read.items():
            logits[split][:, column] = model.decision_function(rows)
    for of_split in logits.values():
        of_split[:, everywhere] = np.inf
    if task.single:
        return Outcome(np.asarray(np.arange(len(task.labels)) == logits["test"].argmax(1)[:, None]), truth["test"], task.single)
    thresholds = choose_thresholds(expit(logits["validation"]).astype(np.float64), truth["validation"])
    return Outcome(expit(logits["test"]) >= thresholds, truth["test"], task.single)
