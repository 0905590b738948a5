"""Confident learning on the corpus: folds by scenario, planted errors found, files for the queue."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.corpus_files import corpus_paths, read_corpus
from models.base import DEFAULT_BASE
from models.example import LabelledExample, Span, write_examples
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from training.cli import main
from training.dataset import label_matrix, rows_of
from training.errors import TrainingError
from training.frozen import FrozenEncoder, TokenStates, fit_heads, head_logits, mean_states, token_states
from training.labelled_file import read_labelled
from training.noise.doubts import find_doubts
from training.noise.planting import found, planted
from training.out_of_fold import calibrated, scenario_folds, scenario_groups, with_fine_tuning, with_heads
from training.settings import TrainingSettings

TAXONOMY = packaged_taxonomy()


def labelled(number: int, *labels: str, scenario: str = "", hard: tuple[str, ...] = ()) -> LabelledExample:
    return LabelledExample(
        id=f"en-{number:04d}", text="We keep it.", lang="en", labels=list(labels), scenario=scenario, hard_negatives=list(hard)
    )


def many(count: int = 200) -> list[LabelledExample]:
    """Half of them with a debt; a scenario of two texts each."""
    return [labelled(i, *(["debt_or_fees"] if i % 2 else []), scenario=f"s{i // 2}") for i in range(count)]


def sure(examples: list[LabelledExample]) -> NDArray[np.float64]:
    """Probabilities of a model that is right nearly always."""
    rng = np.random.default_rng(1)
    return np.clip(label_matrix(examples, TAXONOMY.label_ids).numpy() + rng.normal(0, 0.05, (len(examples), 17)), 0.02, 0.98)


def test_no_scenario_is_on_both_sides_of_a_fold_and_every_text_is_judged_once() -> None:
    examples = many()
    groups = scenario_groups(examples)
    folds = scenario_folds(examples, 5, seed=1)
    assert sorted(place for fold in folds for place in fold.judged) == list(range(200))
    for fold in folds:
        assert not {groups[i] for i in fold.learnt} & {groups[i] for i in fold.judged}
    with pytest.raises(TrainingError, match="2 scenarios do not make 5 folds"):
        scenario_folds(examples[:4], 5, seed=1)


def test_texts_without_a_scenario_are_each_of_their_own() -> None:
    assert len(set(scenario_groups([labelled(1), labelled(2), labelled(3, scenario="bus"), labelled(4, scenario="bus")]))) == 3


def test_a_wrong_label_is_first_in_the_list_and_says_what_was_given() -> None:
    examples = many()
    probabilities = sure(examples)
    debt = TAXONOMY.label_ids.index("debt_or_fees")
    probabilities[7, debt] = 0.01  # has the label
    probabilities[8, debt] = 0.97  # has it not
    examples[10] = examples[10].model_copy(update={"hard_negatives": ["debt_or_fees"]})
    probabilities[10, debt] = 0.96
    doubts = find_doubts(examples, probabilities, TAXONOMY).doubts
    assert [(doubt.id, doubt.given) for doubt in doubts[:3]] == [
        ("en-0007", "present"),
        ("en-0008", "absent"),
        ("en-0010", "hard_negative"),
    ]
    assert all(doubt.flagged for doubt in doubts[:3])


def test_labels_that_are_too_rare_are_not_judged() -> None:
    judgement = find_doubts(many(), sure(many()), TAXONOMY)
    assert "debt_or_fees" not in judgement.too_rare
    assert len(judgement.too_rare) == 16


def test_planting_changes_one_label_in_a_share_of_the_texts_and_keeps_the_examples_valid() -> None:
    text = "We keep it."
    examples = [
        e.model_copy(update={"spans": [Span(start=0, end=2, label="debt_or_fees")]}) if e.labels else e for e in many()
    ] + [labelled(999, hard=("restricted_freedom",))]
    changed, wrong = planted(examples, TAXONOMY, 0.2, seed=3)
    assert len(wrong) == 40
    for place, (before, after) in enumerate(zip(examples, changed, strict=True)):
        different = set(before.labels) ^ set(after.labels)
        assert {(place, label) for label in different} == {pair for pair in wrong if pair[0] == place}
        LabelledExample.model_validate(after.model_dump())
        assert after.text == text
    lost = sum(label not in changed[place].labels for place, label in wrong)
    assert 5 < lost < 21


def test_training_on_shares_is_taught_what_was_planted(encoder: FrozenEncoder) -> None:
    everyone = {"debt_or_fees": 1.0, "restricted_freedom": 0.33}
    examples = [
        e.model_copy(update={"shares": everyone if e.labels else {"debt_or_fees": 0.33, "coercion_grooming": 0.33}})
        for e in many(40)
    ]
    changed, wrong = planted(examples, TAXONOMY, 0.5, seed=3)
    for place, label in wrong:
        (row,) = rows_of([changed[place]], TAXONOMY, encoder.maker)
        assert row["labels"][TAXONOMY.label_ids.index(label)] == float(label in changed[place].labels)
    assert {"debt_or_fees"} < {label for _, label in wrong}
    assert all(LabelledExample.model_validate(e.model_dump()) == e for e in changed)


def test_at_least_one_label_is_planted_so_that_there_is_something_to_find() -> None:
    examples = many()
    changed, wrong = planted(examples, TAXONOMY, 0.001, seed=3)
    assert len(wrong) == 1
    assert found(find_doubts(changed, sure(examples), TAXONOMY).doubts, wrong, changed, 17).found_in_top["1x"] == 1.0


def test_a_text_with_every_label_loses_one() -> None:
    full = [labelled(number, *TAXONOMY.label_ids) for number in range(3)]
    changed, wrong = planted(full, TAXONOMY, 1.0, seed=1)
    assert sorted(place for place, _ in wrong) == [0, 1, 2]
    assert [len(example.labels) for example in changed] == [len(TAXONOMY.label_ids) - 1] * 3


def test_the_measure_counts_planted_errors_by_place_in_the_list() -> None:
    examples = many()
    changed, wrong = planted(examples, TAXONOMY, 0.1, seed=5)
    wrong_debts = {(place, label) for place, label in wrong if label == "debt_or_fees"}
    doubts = find_doubts(changed, sure(examples), TAXONOMY).doubts
    measured = found(doubts, wrong_debts, changed, 17)
    assert measured.found_in_top["1x"] == 1.0
    assert measured.by_chance < 0.01


@pytest.fixture(scope="module", autouse=True)
def _short_training() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.frozen.LEAST_STEPS", 60)
        yield


@pytest.fixture(scope="module")
def texts() -> list[LabelledExample]:
    corpus = [item.example for item in read_corpus(corpus_paths())]
    return [e for e in corpus if e.lang in ("nl", "en", "de")][::6][:360]


@pytest.fixture(scope="module")
def encoder(model_settings: ModelSettings) -> FrozenEncoder:
    return FrozenEncoder.of_base(DEFAULT_BASE, model_settings, layers=2)


@pytest.fixture(scope="module")
def known(encoder: FrozenEncoder, texts: list[LabelledExample]) -> TokenStates:
    return token_states(encoder, texts, TAXONOMY)


def test_heads_on_a_frozen_encoder_learn_and_the_same_seed_gives_the_same(known: TokenStates) -> None:
    learnt = list(range(200))
    one, two = (head_logits(fit_heads(known, learnt, seed=1), known, learnt) for _ in range(2))
    assert np.array_equal(one, two)
    truth = label_matrix([known.examples[i] for i in learnt], TAXONOMY.label_ids).numpy() > 0.5
    assert one[truth].mean() > one[~truth].mean() + 1, "of what was learnt from"


def test_planted_errors_come_to_the_top_far_more_often_than_by_chance(known: TokenStates, encoder: FrozenEncoder) -> None:
    changed, wrong = planted(known.examples, TAXONOMY, 0.1, seed=1)
    logits = with_heads(known.with_labels_of(changed, encoder.maker), scenario_folds(changed, 3, seed=1), seed=1)
    probabilities = calibrated(logits, changed, TAXONOMY)
    assert probabilities.shape == (len(changed), 17)
    measured = found(find_doubts(changed, probabilities, TAXONOMY).doubts, wrong, changed, 17)
    assert measured.found_in_top["4x"] > 10 * measured.by_chance


def test_the_mean_of_states_does_not_depend_on_company(encoder: FrozenEncoder, texts: list[LabelledExample]) -> None:
    several = mean_states(encoder, [example.text for example in texts[:5]])
    alone = mean_states(encoder, [texts[3].text])
    assert several.shape == (5, 384)
    assert np.allclose(several[3], alone[0], atol=1e-4)


def test_the_full_way_judges_every_text_by_a_network_that_was_fine_tuned_without_it(
    texts: list[LabelledExample], model_settings: ModelSettings, tmp_path: Path
) -> None:
    settings = TrainingSettings(output=tmp_path, layers=1, max_steps=2, seed=1)
    some = texts[:60]
    logits = with_fine_tuning(some, scenario_folds(some, 2, seed=1), TAXONOMY, settings, model_settings)
    assert logits.shape == (60, 17)
    assert np.isfinite(logits).all()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, model_settings: ModelSettings) -> Callable[..., int]:
    monkeypatch.setenv("SIGNAAL_CACHE_DIR", str(model_settings.cache_dir))

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["signaal-train", "noise", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    return run


def test_the_command_writes_a_queue_and_a_page_without_texts_unless_asked(
    call: Callable[..., int], texts: list[LabelledExample], tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    write_examples(texts[:240], data)
    options = ("--data", str(data), "--layers", "1", "--folds", "2")
    assert call(*options, "--planted", "0.1", "--output", str(tmp_path / "a")) == 0
    lines = [json.loads(line) for line in (tmp_path / "a" / "doubts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert set(lines[0]) == {"ad_id", "label", "given", "suggested", "probability", "score", "flagged", "reason"}
    assert [line["score"] for line in lines] == sorted((line["score"] for line in lines), reverse=True)
    assert all(line["suggested"] is (line["given"] != "present") for line in lines)
    facts = json.loads((tmp_path / "a" / "noise.json").read_text())
    assert facts["planted"]["planted"] == 24
    assert sum(row["all"] for row in facts["by_label"].values()) == facts["listed"] == len(lines)
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "a").glob("*.*l*"))
    assert not any(example.text[:50] in everything for example in texts)
    assert call(*options, "--show-texts", "--output", str(tmp_path / "b")) == 0
    first = next(example for example in texts if example.id == lines[0]["ad_id"])
    assert first.text.split("\n")[0][:30].split("&")[0] in (tmp_path / "b" / "noise.html").read_text(encoding="utf-8")


def test_an_unknown_label_or_document_type_or_a_double_id_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_examples([labelled(1), labelled(1)], path)
    with pytest.raises(TrainingError, match="en-0001 is used twice"):
        read_labelled(path, TAXONOMY)
    write_examples([labelled(1, "no_such_label")], path)
    with pytest.raises(TrainingError, match="lacks: no_such_label"):
        read_labelled(path, TAXONOMY)
    for retired, message in (
        ({"document_type": "leaflet"}, "example en-0002 has the unknown document type 'leaflet'"),
        ({"shares": {"no_such_label": 0.3}}, "example en-0002 has labels that taxonomy .* lacks: no_such_label"),
    ):
        write_examples([labelled(1), labelled(2).model_copy(update=retired)], path)
        with pytest.raises(TrainingError, match=message):
            read_labelled(path, TAXONOMY)
