"""Real bundles that go wrong in one way each, made from the model that ships, and one comparison of each with it.

They differ from it in calibration or in how they read alone, so one graph serves them all and its scores are shared.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, Bundle, open_bundle, seal
from models.calibration import Calibration, LabelCalibration
from models.example import LabelledExample, write_examples
from models.settings import ModelSettings
from training import speed
from training.checks.indicator_check import Pair, load_pairs
from training.comparison import Comparison, compare
from training.measurement import open_contender, read_test_texts
from training.robustness import identity_swapped
from training.settings import DataSource

BROKEN_LABEL = "document_or_earnings_control"


def some_test_texts() -> list[LabelledExample]:
    """About 130 test texts, in all languages; some with words of origin or gender."""
    test = [item.example for item in read_corpus(corpus_paths()) if item.example.split == "test"]
    swapped = [e for e, s in zip(test, identity_swapped(test), strict=True) if e.text != s.text]
    chosen = {e.id: e for e in (*test[::16], *swapped[::8])}
    return list(chosen.values())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("promotion-data") / "test.jsonl"
    write_examples(some_test_texts(), path)
    return path


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    return load_pairs()[::20]


@pytest.fixture(scope="session", autouse=True)
def _brief_timing() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "BULK_TEXTS", 8)
        patch.setattr(speed, "SINGLE_TEXTS", 9)
        patch.setattr(speed, "ROUNDS", 1)
        yield


@dataclass(frozen=True)
class Workshop:
    """Makes bundles."""

    folder: Path

    def make(
        self,
        name: str,
        of: Path = RELEASED,
        change: Callable[[dict[str, LabelCalibration]], dict[str, LabelCalibration]] | None = None,
        edit: Callable[[Path], None] | None = None,
        **manifest: Any,
    ) -> Bundle:
        """A sealed copy with another calibration per label, with files edited, or with other facts in its manifest; ``name``
        becomes its version."""
        folder = self.folder / name
        shutil.copytree(of, folder)
        if change:
            old = Calibration.from_json(json.loads((folder / "calibration.json").read_text()))
            (folder / "calibration.json").write_text(json.dumps(replace(old, labels=change(old.labels)).to_json()))
        if edit:
            edit(folder)
        facts = open_bundle(of).manifest
        kept = {field: getattr(facts, field) for field in type(facts).model_fields if field != "files"}
        return seal(folder, **{**kept, "version": name, "run_id": None, **manifest})


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("bundles"))


def with_label_broken(labels: dict[str, LabelCalibration]) -> dict[str, LabelCalibration]:
    """One label is never present."""
    return labels | {BROKEN_LABEL: replace(labels[BROKEN_LABEL], bias=labels[BROKEN_LABEL].bias - 12)}


def tempered(labels: dict[str, LabelCalibration], factor: float) -> dict[str, LabelCalibration]:
    """Logits times ``factor``; thresholds moved along, so that no decision changes."""

    def moved(one: LabelCalibration) -> LabelCalibration:
        new = replace(one, scale=one.scale * factor, bias=one.bias * factor)
        return replace(new, absent_below=_moved(one.absent_below, factor), present_from=_moved(one.present_from, factor))

    return {label: moved(one) for label, one in labels.items()}


def _moved(probability: float, factor: float) -> float:
    odds = (probability / (1 - probability)) ** factor
    return odds / (1 + odds)


@pytest.fixture(scope="session")
def released_at(model_settings: ModelSettings, data: Path, pairs: list[Pair]) -> Callable[[Path | str], Comparison]:
    """The comparison of the model that ships (A) with another (B)."""

    a = open_contender("released", model_settings, "fp32")

    def compared(other: Path | str) -> Comparison:
        b = open_contender(str(other), model_settings, "fp32")
        return compare(a, b, read_test_texts([DataSource(path=data)], a.bundle.taxonomy), model_settings, pairs)

    return compared
