"""Learning curves: growing parts by scenario, a power law, and what it says of more labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from transformers import TrainerCallback

from labeling.corpus_files import corpus_paths, read_corpus
from models.example import LabelledExample, read_examples, write_examples
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from tests.training.small_data import write_small_data
from training.cli import main
from training.curve.gain import _average_precision, gains
from training.curve.measure import growing_part, measure_curve
from training.curve.power_law import fit_power_laws
from training.curve.ways import full_way, settings_of_share
from training.errors import TrainingError
from training.out_of_fold import scenario_folds, scenario_groups
from training.settings import TrainingSettings
from training.trainer import fine_tune

TAXONOMY = packaged_taxonomy()
SIZES = np.array([100.0, 200, 400, 800, 1600])


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(0.1, 0.2, 0.5), (0.0, 0.3, 0.3), (0.25, 0.05, 1.0)])
def test_a_power_law_is_found_again_and_carries_on(floor: float, scale: float, exponent: float) -> None:
    errors = floor + scale * (SIZES / 1600) ** -exponent
    laws = fit_power_laws(SIZES, errors[None])
    assert laws.at(3200)[0] == pytest.approx(floor + scale * 2**-exponent, abs=1e-3)
    assert laws.exponent[0] == pytest.approx(exponent, abs=0.06)


def test_an_error_that_rises_with_the_data_promises_nothing() -> None:
    laws = fit_power_laws(SIZES, np.array([[0.2, 0.22, 0.25, 0.27, 0.3]]))
    assert laws.scale[0] == 0
    assert laws.at(1600) == laws.at(5000)


def test_an_error_never_falls_below_zero() -> None:
    laws = fit_power_laws(SIZES, np.array([[0.4, 0.2, 0.1, 0.03, 0.0]]))
    assert laws.floor[0] >= 0
    assert laws.at(1e6)[0] >= 0


def examples(count: int = 400) -> list[LabelledExample]:
    return [
        LabelledExample(
            id=str(i),
            text="Text.",
            lang="en" if i % 16 < 4 else "nl",
            labels=["debt_or_fees"] if (i // 2) % 2 else [],
            scenario=f"s{i // 2}",
        )
        for i in range(count)
    ]


def test_a_larger_share_holds_every_smaller_one_and_whole_scenarios() -> None:
    some = examples()
    groups = scenario_groups(some)
    fold = scenario_folds(some, 4, seed=1)[0]
    parts = [set(growing_part(some, fold, fraction, seed=3)) for fraction in (0.1, 0.5, 1.0)]
    assert parts[0] < parts[1] < parts[2] == set(fold.learnt)
    for part in parts:
        inside = {groups[place] for place in part}
        assert part == {place for place in fold.learnt if groups[place] in inside}
    assert set(growing_part(some, fold, 0.5, seed=4)) != parts[1]


def test_one_language_grows_while_the_others_stay() -> None:
    some = examples()
    fold = scenario_folds(some, 4, seed=1)[0]
    few = growing_part(some, fold, 0.2, seed=1, language="en")
    everything = [place for place in fold.learnt if some[place].lang == "nl"]
    assert [place for place in few if some[place].lang == "nl"] == everything
    assert 0 < len(few) - len(everything) < sum(some[place].lang == "en" for place in fold.learnt) / 3
    with pytest.raises(TrainingError, match="no text in the language 'fi'"):
        measure_curve(some, (0.5, 1.0), 1, lambda *_: np.zeros((1, 17)), seed=1, language="fi")


def test_average_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, scores = (rng.random(200) < 0.2).astype(float), rng.random(200)
    weights = np.vstack([np.ones(200), rng.integers(0, 3, 200)]).astype(float)
    ours = _average_precision(truth, scores, weights)
    assert ours[0] == pytest.approx(average_precision_score(truth, scores))
    assert ours[1] == pytest.approx(average_precision_score(truth, scores, sample_weight=weights[1]), abs=0.01)


def learner(some: list[LabelledExample], strength: float, rng: np.random.Generator) -> object:
    """Stands in for a network that sees a debt the better the more texts it learnt from."""
    column = TAXONOMY.label_ids.index("debt_or_fees")

    def train(learnt: list[int], judged: list[int], seed: int) -> NDArray[np.float64]:
        logits = rng.normal(size=(len(judged), len(TAXONOMY.label_ids)))
        truth = np.array(["debt_or_fees" in some[place].labels for place in judged])
        logits[:, column] += truth * strength * np.log(len(learnt))
        return logits

    return train


def test_a_label_that_is_still_learnt_gains_and_one_that_is_not_does_not() -> None:
    some = examples(2000)
    learning = measure_curve(some, (0.1, 0.25, 0.5, 1.0), 2, learner(some, 0.25, np.random.default_rng(1)), seed=1)  # type: ignore[arg-type]
    (label,), languages = gains(learning, TAXONOMY, seed=1)
    assert (label.name, {language.name for language in languages}) == ("debt_or_fees", {"nl", "en"})
    rise, low, high = label.gain(500)
    assert 0 < low <= rise <= high < 0.2
    score, at_least, at_most = label.predicted(label.sizes[-1])
    assert at_least <= score <= at_most
    guessing = measure_curve(some, (0.1, 0.25, 0.5, 1.0), 2, learner(some, 0.0, np.random.default_rng(1)), seed=1)  # type: ignore[arg-type]
    (label,), _ = gains(guessing, TAXONOMY, seed=1)
    assert label.gain(500)[0] < 0.01
    assert label.gain(500)[1] == 0


def test_the_command_trains_real_heads_and_writes_curves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_settings: ModelSettings, tmp_path: Path
) -> None:
    corpus = [item.example for item in read_corpus(corpus_paths())]
    data = tmp_path / "data.jsonl"
    write_examples([e for lang in ("nl", "en") for e in [e for e in corpus if e.lang == lang][::5][:130]], data)
    monkeypatch.setattr("training.frozen.LEAST_STEPS", 60)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SIGNAAL_CACHE_DIR", str(model_settings.cache_dir))
    options = ("--data", str(data), "--layers", "1", "--seeds", "1", "--output", str(tmp_path / "report"))
    monkeypatch.setattr("sys.argv", ["signaal-train", "curve", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    facts = json.loads((tmp_path / "report" / "curve.json").read_text())
    assert len(facts["sizes"]) == 6
    assert facts["sizes"] == sorted(facts["sizes"])
    assert {row["name"] for row in facts["languages"]} == {"nl", "en"}
    scores = np.array([row["scores"] for row in facts["labels"]])
    assert scores[:, -1].mean() > scores[:, 0].mean(), "more data, better scores"
    added = "500 more labelled texts of all languages together"
    assert facts["unit"].startswith(f"scores, ceiling: average precision, 0 to 1; gain: its rise by {added}")
    printed = " ".join(capsys.readouterr().err.split())
    for what, texts in (("label", "texts with it now"), ("language", "texts in it now")):
        assert f"points of average precision (0 to 100) by {what}: now, and gained by {added}" in printed
        assert texts in printed
    html = (tmp_path / "report" / "curve.html").read_text()
    assert f"<td>{100 * facts['labels'][0]['scores'][-1]:.1f}</td>" in html
    assert html.count(f"points gained by {added}") == 2
    assert "<th>texts in it now</th>" in html
    assert html.count("data:image/png;base64,") == 2


def test_the_full_way_fine_tunes_and_leaves_no_checkpoint(model_settings: ModelSettings, tmp_path: Path) -> None:
    some = list(read_examples(write_small_data(tmp_path / "data.jsonl", texts=40)))
    settings = TrainingSettings(output=tmp_path / "runs", layers=1, max_steps=1)
    logits = full_way(some, TAXONOMY, settings)(list(range(40)), [40, 41], 3)
    assert logits.shape == (2, len(TAXONOMY.label_ids))
    assert not list((tmp_path / "runs").iterdir())


class Steps(TrainerCallback):
    """Counts them."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.taken.append(state.global_step)


def test_in_the_full_way_a_small_share_gets_a_third_of_the_steps_of_all_texts(
    model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGNAAL_CACHE_DIR", str(model_settings.cache_dir))
    some = list(read_examples(write_small_data(tmp_path / "data.jsonl", texts=44, held_out=2)))
    some = [example.model_copy(update={"scenario": ""}) for example in some]
    steps = Steps()
    monkeypatch.setattr("training.curve.ways.fine_tune", lambda *given, **named: fine_tune(*given, callbacks=[steps], **named))
    settings = TrainingSettings(output=tmp_path / "runs", layers=2, epochs=1, batch_size=4, patience=1)
    train = full_way(some, TAXONOMY, settings)
    for learnt in (44, 22, 5):
        train(list(range(learnt)), [44, 45, 46, 47], 3)
    # A tenth chooses the best epoch: 39, 19 and 4 texts are learnt from, which makes 10, 5 and, of its own, 1 step.
    assert steps.taken == [10, 5, 4]


def test_steps_that_are_given_or_enough_stay_and_patience_grows_with_the_epochs() -> None:
    settings = TrainingSettings(epochs=5, batch_size=8, patience=4)
    assert settings_of_share(settings, 800, 800) == settings_of_share(settings, 300, 800) == settings
    tenth = settings_of_share(settings, 80, 800)
    assert (tenth.max_steps, tenth.patience) == (167, 14)
    given = settings.model_copy(update={"max_steps": 20})
    assert settings_of_share(given, 80, 800) == given
