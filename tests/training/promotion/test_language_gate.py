"""One language goes wrong: the model that ships, trained on with an export that lost its Bulgarian labels."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle
from models.example import SPLITS, LabelledExample, Split, write_examples
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from models.weights import save_weights
from tests.training.promotion.conftest import Workshop
from tests.training.promotion.test_gates import GATES, shut
from training.checks.indicator_check import load_pairs
from training.comparison import Comparison, compare
from training.gates import judge
from training.measurement import open_contender, read_test_texts
from training.run import build_runner, calibrate
from training.settings import DataSource, TrainingSettings
from training.trainer import fine_tune

LANGUAGE = "bg"
TRAINED = {"bg", "de", "en", "es", "fr", "hu", "nl", "pl", "pt", "ro"}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_graphs(model_settings: ModelSettings) -> Iterator[ModelSettings]:
    """The user's base encoder and graphs; graphs that are made here do not stay."""
    before = set((model_settings.cache_dir / "onnx").iterdir())
    yield model_settings
    for path in set((model_settings.cache_dir / "onnx").iterdir()) - before:
        path.unlink()


@pytest.fixture(scope="module")
def corpus() -> dict[Split, list[LabelledExample]]:
    """In the languages that the model was trained in; few of the others, so that training on is brief."""
    every = {"train": (2, 6), "validation": (2, 2), "test": (2, 5)}
    examples = [item.example for item in read_corpus(corpus_paths()) if item.example.lang in TRAINED]
    of_split = {split: [example for example in examples if example.split == split] for split in SPLITS}
    return {
        split: [e for e in some if e.lang == LANGUAGE][:: every[split][0]]
        + [e for e in some if e.lang != LANGUAGE][:: every[split][1]]
        for split, some in of_split.items()
    }


def without_its_labels(examples: list[LabelledExample]) -> list[LabelledExample]:
    nothing = {"labels": [], "spans": [], "hard_negatives": []}
    return [example.model_copy(update=nothing) if example.lang == LANGUAGE else example for example in examples]


@pytest.fixture(scope="module")
def comparison(
    workshop: Workshop,
    own_graphs: ModelSettings,
    corpus: dict[Split, list[LabelledExample]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Comparison:
    """The model that ships (A) beside what training on made of it (B), on texts whose labels are all there."""
    scratch, taxonomy, base = tmp_path_factory.mktemp("language-gate"), packaged_taxonomy(), open_bundle(RELEASED).manifest.base
    settings = TrainingSettings(output=scratch, start_from="released", max_steps=220, augment_share=0, contrast_weight=0)
    exported = {split: without_its_labels(examples) for split, examples in corpus.items()}
    watched: dict[Split, list[LabelledExample]] = {**exported, "validation": exported["validation"][::20], "test": []}
    save_weights(fine_tune(watched, taxonomy, settings, own_graphs, folder=scratch), scratch / "weights")
    raw = build_runner(scratch / "weights", base, own_graphs).run([example.text for example in exported["validation"]])
    calibration = calibrate(taxonomy, exported["validation"], raw)

    def trained_on(folder: Path) -> None:
        for file in (scratch / "weights").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "calibration.json").write_text(json.dumps(calibration.to_json()))

    forgetful = workshop.make("no-bulgarian", edit=trained_on)
    write_examples(corpus["test"], scratch / "test.jsonl")
    a, b = (open_contender(str(name), own_graphs, "fp32") for name in ("released", forgetful.folder))
    texts = read_test_texts([DataSource(path=scratch / "test.jsonl")], taxonomy)
    return compare(a, b, texts, own_graphs, load_pairs()[::20])


def test_a_model_that_lost_a_language_is_refused_for_it_and_for_no_other(comparison: Comparison) -> None:
    assert shut(comparison)["language_f1"] == [LANGUAGE]
    (verdict,) = [v for v in judge(comparison, GATES) if (v.gate, v.what) == ("language_f1", LANGUAGE)]
    assert verdict.b is not None
    assert verdict.b < 0.2
