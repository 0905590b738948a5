"""A comparison's figures are those of an evaluation, and its report can be read anywhere."""

import gc
import json
import re
import weakref
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from models.bundle import RELEASED, open_bundle
from models.errors import RegistryError
from models.example import LabelledExample, write_examples
from models.runtime import Scorer
from models.settings import ModelSettings
from tests.conftest import SmallRun
from tests.training.promotion.conftest import Workshop, tempered, with_label_broken
from training.checks.indicator_check import Pair, indicator_check
from training.comparison import Comparison, compare
from training.comparison_report import write_comparison
from training.errors import TrainingError
from training.evaluation import calibration_error, evidence_f1, false_alert_share, multi_label_scores, predict
from training.gates import judge, load_gates
from training.measurement import open_contender, read_test_texts
from training.named_bundle import place_of
from training.robustness import robustness
from training.score_cache import CachedRunner, scores_path
from training.settings import DataSource

Compared = Callable[[Path | str], Comparison]


@pytest.fixture(scope="module")
def comparison(workshop: Workshop, released_at: Compared) -> Comparison:
    return released_at(workshop.make("bold-and-blind", change=lambda labels: tempered(with_label_broken(labels), 2.0)).folder)


def test_its_figures_are_those_of_an_evaluation(comparison: Comparison, model_settings: ModelSettings, pairs: list[Pair]) -> None:
    plain = open_contender("released", model_settings, "fp32").scorer
    runner = CachedRunner(plain.runner, scores_path(comparison.a.bundle.weights_digest, model_settings.cache_dir, "fp32"))
    scorer = Scorer(runner, plain.taxonomy, plain.calibration, plain.identity)
    examples = comparison.data.examples
    raw = runner.run([e.text for e in examples])
    p = predict(scorer, examples, raw)
    scores, behaviour = multi_label_scores(p), robustness(scorer, examples, raw)
    expected = {
        "macro_f1": scores["macro_f1"],
        "micro_f1": scores["micro_f1"],
        "mean_average_precision": scores["mean_average_precision"],
        "false_alert_share": false_alert_share(p),
        "uncertain_share": p.uncertain[:, :12].mean(),
        "evidence_token_f1": evidence_f1(p, raw, scorer.calibration.evidence_threshold),
        "expected_calibration_error": np.mean([calibration_error(p.probabilities[:, i], p.truth[:, i]) for i in range(12)]),
        "recall": behaviour["recall"],
        "recall_disguised": behaviour["recall_obfuscated"],
        "identity_flips": behaviour["identity_flips"],
    }
    for name, value in expected.items():
        assert comparison.figures[name].a == pytest.approx(value), name
    for label, found in comparison.label_f1.items():
        assert found.a == pytest.approx(scores["labels"][label]["f1"]), label
        assert comparison.label_average_precision[label].a == pytest.approx(scores["labels"][label]["average_precision"])
    for capability, entry in indicator_check(scorer, pairs).items():
        assert comparison.indicator_check[capability].a == pytest.approx(entry["failure_rate"]), capability


def test_what_differs_is_seen_and_what_does_not_is_not(comparison: Comparison) -> None:
    assert comparison.figures["mean_average_precision"].difference == 0.0, "the order of the texts is the same"
    assert comparison.changed["changed"] > 0
    assert comparison.changed["right_before"] + comparison.changed["right_after"] == comparison.changed["changed"]
    macro = comparison.figures["macro_f1"]
    assert macro.interval is not None
    assert macro.difference == pytest.approx(comparison.label_f1["document_or_earnings_control"].difference / 12)  # type: ignore[operator]
    assert macro.interval[1] < 0
    assert macro.p_better == 0.0


def test_the_report_stands_by_itself(comparison: Comparison, tmp_path: Path) -> None:
    verdicts = [asdict(verdict) for verdict in judge(comparison, load_gates())]
    html = write_comparison(tmp_path, comparison.to_json(), verdicts).read_text()
    assert html.count("data:image/png;base64,") == 4
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    for needed in (
        "Refused",
        "P(better)",
        "F1 per label",
        "document_or_earnings_control",
        "IndicatorCheck",
        "was not made from this file",
    ):
        assert needed in html, needed
    facts = json.loads((tmp_path / "comparison.json").read_text())
    assert facts["b"]["bundle_digest"] == comparison.b.bundle.digest
    assert facts["figures"]["macro_f1"]["b"] == comparison.figures["macro_f1"].b
    assert facts["gates"]
    for example in comparison.data.examples[:20]:
        assert example.text not in html
        assert example.text not in json.dumps(facts, ensure_ascii=False)


def test_int8_and_fp32_of_one_bundle_can_be_compared(small_run: SmallRun, data: Path, pairs: list[Pair], tmp_path: Path) -> None:
    folder = str(small_run.result.bundle.folder)
    a, b = open_contender(folder, small_run.settings, "fp32"), open_contender(folder, small_run.settings, "int8")
    comparison = compare(a, b, read_test_texts([DataSource(path=data)], a.bundle.taxonomy), small_run.settings, pairs)
    facts = comparison.to_json()
    assert (facts["a"]["precision"], facts["b"]["precision"]) == ("fp32", "int8")
    assert facts["b"]["graph_bytes"] < facts["a"]["graph_bytes"] / 3
    assert 0 < abs(comparison.figures["mean_average_precision"].difference or 0.0) < 0.1
    assert "One bundle in two precisions" in write_comparison(tmp_path, facts).read_text()


def test_a_comparison_does_not_keep_its_models_in_memory(
    workshop: Workshop, model_settings: ModelSettings, data: Path, pairs: list[Pair]
) -> None:
    a, b = (open_contender(str(workshop.make(name).folder), model_settings, "fp32") for name in ("held", "let-go"))
    in_memory = [weakref.ref(contender.scorer.runner) for contender in (a, b)]
    comparison = compare(a, b, read_test_texts([DataSource(path=data)], a.bundle.taxonomy), model_settings, pairs)
    del a, b
    gc.collect()
    assert [one() for one in in_memory] == [None, None]
    assert comparison.to_json()["a"]["version"] == "held"


def test_places_can_be_written_in_several_ways(small_run: SmallRun, tmp_path: Path) -> None:
    settings = small_run.settings
    assert place_of("released", settings) == "released"
    assert place_of("runs/bundle-1", settings) == "runs/bundle-1"
    assert place_of("3", settings) == "models:/signaal/3"
    nothing = settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/none.db"})
    assert place_of("models:/signaal@champion", nothing) == "released"
    with pytest.raises(RegistryError, match="models:/signaal@nobody"):
        open_contender("models:/signaal@nobody", settings, "fp32")


def test_without_test_texts_or_with_unknown_labels_nothing_is_compared(tmp_path: Path) -> None:
    taxonomy = open_bundle(RELEASED).taxonomy
    path = tmp_path / "data.jsonl"
    write_examples([LabelledExample(text="x", labels=[], split="train")], path)
    with pytest.raises(TrainingError, match="no example with the split 'test'"):
        read_test_texts([DataSource(path=path)], taxonomy)
    write_examples([LabelledExample(id="a1", text="x", labels=["no_such_label"], split="test")], path)
    with pytest.raises(TrainingError, match=r"a1 has labels that taxonomy 1\.0 lacks: no_such_label"):
        read_test_texts([DataSource(path=path)], taxonomy)


def test_models_with_other_labels_are_not_compared(
    workshop: Workshop, model_settings: ModelSettings, data: Path, small_run: SmallRun
) -> None:
    a = open_contender("released", model_settings, "fp32")
    taxonomy = a.bundle.taxonomy
    fewer = taxonomy.model_copy(update={"counter_indicators": taxonomy.counter_indicators[:-1]})
    other = open_contender(str(workshop.make("fewer").folder), model_settings, "fp32")
    other.bundle.__dict__["taxonomy"] = fewer
    with pytest.raises(TrainingError, match="different labels"):
        compare(a, other, read_test_texts([DataSource(path=data)], taxonomy), model_settings, [])
