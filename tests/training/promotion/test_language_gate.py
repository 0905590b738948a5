"""One language goes wrong: a real network with what tells Bulgarian taken off its heads' weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import Ridge

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle, verified_base
from models.example import write_examples
from models.settings import ModelSettings
from models.weights import load_weights
from models.windows import WindowMaker, padded
from tests.training.promotion.conftest import Workshop
from tests.training.promotion.test_gates import GATES, shut
from training.checks.indicator_check import load_pairs
from training.comparison import Comparison, compare
from training.gates import Verdict, judge
from training.measurement import open_contender, read_test_texts
from training.settings import DataSource

LANGUAGE = "bg"
PUSH = 12.0


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_graphs(model_settings: ModelSettings) -> Iterator[ModelSettings]:
    """The user's base encoder and graphs; graphs that are made here do not stay."""
    before = set((model_settings.cache_dir / "onnx").iterdir())
    yield model_settings
    for path in set((model_settings.cache_dir / "onnx").iterdir()) - before:
        path.unlink()


def silence_language(folder: Path, settings: ModelSettings) -> None:
    """Fit, per label, the direction in the pooled features that tells the language, and take it off the label's weights."""
    corpus = [item.example for item in read_corpus(corpus_paths()) if item.example.split == "train"]
    ours = [e for e in corpus if e.lang == LANGUAGE][::2]
    others = [e for e in corpus if e.lang != LANGUAGE][::5]  # many more than there are features, so that others feel little of it
    bundle = open_bundle(RELEASED)
    model = load_weights(RELEASED, bundle.manifest.base, settings.cache_dir)
    maker = WindowMaker(verified_base(bundle.manifest.base, settings.cache_dir) / "tokenizer.json")
    features: list[np.ndarray] = []
    hook = model.attention.value.register_forward_hook(
        lambda _module, _inputs, output: features.append(torch.nn.functional.gelu(output).numpy())
    )
    windows = [maker.windows([example.text])[0] for example in (*ours, *others)]
    with torch.inference_mode():
        for start in range(0, len(windows), 16):
            ids, mask = padded(windows[start : start + 16], maker.pad_id)
            model(torch.from_numpy(ids), torch.from_numpy(mask))
    hook.remove()
    told = np.concatenate(features)  # [texts, labels, hidden]
    is_ours = np.array([1.0] * len(ours) + [0.0] * len(others))
    heads = load_file(folder / "heads.safetensors")
    for label in range(told.shape[1]):
        fit = Ridge(alpha=0.1).fit(told[:, label], is_ours)
        heads["attention.weight"][label] -= PUSH * torch.tensor(fit.coef_, dtype=torch.float32)
        heads["attention.bias"][label] -= PUSH * float(fit.intercept_)
    save_file(heads, folder / "heads.safetensors")


@pytest.fixture(scope="module")
def comparison(workshop: Workshop, own_graphs: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The model that ships (A) beside the broken one (B)."""
    test = [item.example for item in read_corpus(corpus_paths()) if item.example.split == "test"]
    data = tmp_path_factory.mktemp("language-gate") / "test.jsonl"
    write_examples([e for e in test if e.lang == LANGUAGE][::2] + [e for e in test if e.lang not in (LANGUAGE, "uk")][::10], data)
    broken = workshop.make("no-bulgarian", edit=lambda folder: silence_language(folder, own_graphs))
    a, b = (open_contender(str(name), own_graphs, "fp32") for name in ("released", broken.folder))
    return compare(a, b, read_test_texts([DataSource(path=data)], a.bundle.taxonomy), own_graphs, load_pairs()[::20])


@pytest.fixture(scope="module")
def verdict(comparison: Comparison) -> Verdict:
    (of_language,) = [v for v in judge(comparison, GATES) if (v.gate, v.what) == ("language_f1", LANGUAGE)]
    return of_language


def test_a_model_that_lost_a_language_is_refused_for_it(verdict: Verdict) -> None:
    assert verdict.refusal


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="0.8.0's heads hardly see the language: Bulgarian loses 0.26 of macro-F1 and others up to 0.25 with it. Only a "
    "network whose encoder was trained to lose it would lose it alone.",
)
def test_and_for_that_language_alone(comparison: Comparison, verdict: Verdict) -> None:
    assert shut(comparison)["language_f1"] == [LANGUAGE]
    assert verdict.b is not None
    assert verdict.b < 0.2
