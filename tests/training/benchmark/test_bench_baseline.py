"""The baselines of a benchmark: what they learn, and what they take."""

import tracemalloc
from random import Random

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline

from training.benchmark import baseline
from training.benchmark.fine_tuning import texts_at_once
from training.benchmark.records import BenchmarkExample
from training.benchmark.splitting import Splits
from training.benchmark.task import Task

WORDS = {"weather": ["rain", "snow"], "food": ["bread", "soup"], "sport": ["football", "tennis"]}


def texts(count: int, seed: int, most_labels: int = 1) -> list[BenchmarkExample]:
    draws = Random(seed)
    made = []
    for _ in range(count):
        labels = draws.sample(list(WORDS), draws.randint(1, most_labels))
        words = [draws.choice(WORDS[label]) for label in labels] + draws.sample(["today", "we", "had", "much", "of", "it"], 3)
        made.append(BenchmarkExample(text=" ".join(draws.sample(words, len(words))), labels=labels))
    return made


def splits(most_labels: int = 1) -> Splits:
    return {"train": texts(120, 1, most_labels), "validation": texts(40, 2, most_labels), "test": texts(40, 3, most_labels)}


@pytest.mark.parametrize("most_labels", [1, 3])
def test_tfidf_gives_what_one_against_the_rest_of_scikit_learn_gives(most_labels: int) -> None:
    data = splits(most_labels)
    task = Task.of([e for part in data.values() for e in part])
    found = baseline.tfidf(task, data)
    features = FeatureUnion([(name, make_pipeline(*baseline._steps(**how))) for name, how in baseline.NGRAMS.items()])
    model = OneVsRestClassifier(
        LogisticRegression(C=10.0, solver="liblinear", dual=True, max_iter=300, random_state=baseline.SEED)
    )
    model.fit(features.fit_transform([e.text for e in data["train"]]), task.matrix(data["train"]).astype(int))
    likely = expit(model.decision_function(features.transform([e.text for e in data["test"]])))
    if task.single:
        assert found.decided.argmax(1).tolist() == likely.argmax(1).tolist()
    else:
        assert (found.decided == (likely >= 0.5)).mean() > 0.95, "but for the thresholds"
    assert (found.decided == found.truth).mean() > 0.95


@pytest.mark.parametrize("labels", [["food"], ["food", "weather"]])
def test_training_texts_that_all_have_the_same_labels_are_no_crash(labels: list[str]) -> None:
    data = splits(len(labels))
    data["train"] = [e.model_copy(update={"labels": labels}) for e in data["train"]]
    task = Task.of([e for part in data.values() for e in part])
    found = baseline.tfidf(task, data)
    assert found.decided.tolist() == [[label in labels for label in task.labels]] * len(data["test"])


def test_the_weights_of_many_labels_are_not_all_in_memory_at_once() -> None:
    labels = [f"label {number}" for number in range(60)]
    train = [BenchmarkExample(text=f"word{i} of {label}", labels=[label]) for label in labels for i in range(2)]
    task = Task.of(train)
    tracemalloc.start()
    baseline.tfidf(task, {"train": train, "validation": train, "test": train})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one = 2 * baseline.FEATURES * np.dtype(np.float64).itemsize
    assert most < 20 * one, "60 labels, with what scikit-learn copies meanwhile"


def test_more_texts_than_memory_allows_are_drawn_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [BenchmarkExample(text=f"text {number:04}", labels=["a"]) for number in range(1000)]
    assert baseline.texts_to_fit(examples) == examples
    monkeypatch.setattr(baseline, "MOST_TEXTS", 100)
    drawn = baseline.texts_to_fit(examples)
    assert len(drawn) == 100
    assert drawn == sorted(drawn, key=lambda e: e.text) == baseline.texts_to_fit(examples)
    assert sum(e.text >= "text 0500" for e in drawn) in range(30, 70), "from all of the file"
    monkeypatch.setattr(baseline, "MOST_CHARACTERS", 99)
    assert len(baseline.texts_to_fit(examples)) == 11
    monkeypatch.setattr(baseline, "MOST_CHARACTERS", 1)
    assert len(baseline.texts_to_fit(examples)) == 1


def test_fewer_texts_are_read_at_once_under_many_labels() -> None:
    assert texts_at_once(16, 28) == 512
    assert texts_at_once(16, 1_000) == 32
    assert texts_at_once(512, 100_000) == 1
