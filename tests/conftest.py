"""Shared parts, all real: the base encoder, a small network trained for a few steps, its bundle, its MLflow store."""

import ctypes
import gc
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest
from filelock import FileLock

from labeling.corpus_files import corpus_paths
from models.base import DEFAULT_BASE, base_encoder_folder
from models.bundle import RELEASED, open_bundle
from models.runtime import Scorer
from models.settings import ModelSettings
from tests.training.small_data import write_small_data
from training.run import RunResult, run
from training.settings import TrainingSettings

STEPS = 40


def pytest_configure() -> None:
    """Tables are as wide as they need to be, whatever pytest's own output goes to."""
    os.environ["COLUMNS"] = "160"


@dataclass(frozen=True)
class SmallRun:
    """A whole run of ``signaal-train run`` on two encoder layers and a few steps."""

    result: RunResult
    data: Path
    folder: Path
    settings: ModelSettings


@pytest.fixture(scope="session", autouse=True)
def _feedback_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No server of a test keeps feedback in the repository. Two at once need a folder each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNAAL_SERVE_FEEDBACK_DIR", str(tmp_path_factory.mktemp("served") / "feedback"))
        yield


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """What a module's models took, after all its own fixtures have gone: a tokenizer leaves its 200 MB with glibc, which would
    keep them, and after training and export much more."""
    yield
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(scope="session")
def model_settings() -> ModelSettings:
    """The user's own cache, so that the base encoder is fetched once per machine."""
    return ModelSettings(bundle="released", mlflow_tracking_uri="sqlite:///does-not-exist.db")


@contextmanager
def _one_process_at_a_time(settings: ModelSettings) -> Iterator[Path]:
    """What takes long is made by one of several pytest processes; the others wait. Gives the tests' part of the cache."""
    kept = settings.cache_dir / "tests"
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / "lock"):
        yield kept


@pytest.fixture(scope="session")
def base_folder(model_settings: ModelSettings) -> Path:
    with _one_process_at_a_time(model_settings):
        return base_encoder_folder(DEFAULT_BASE, model_settings.cache_dir)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, model_settings: ModelSettings, base_folder: Path) -> SmallRun:
    """Made once for a state of the code, and kept in the user's cache; each session has its own copy of the MLflow store."""
    with _one_process_at_a_time(model_settings) as kept:
        done = kept / f"{_state_of_the_code()}.json"
        if not done.exists():
            result = _make(Path(mkdtemp(prefix="small-run-", dir=kept)), model_settings)  # MLflow remembers where: never moved
            facts = {"bundle": str(result.bundle.folder), "version": result.registered_version, "report": str(result.report)}
            done.write_text(json.dumps(facts), encoding="utf-8")
    facts = json.loads(done.read_text(encoding="utf-8"))
    report = Path(facts["report"])
    figures = json.loads((report.parent / "report.json").read_text(encoding="utf-8"))
    bundle = open_bundle(Path(facts["bundle"]))
    made, folder = bundle.folder.parents[1], tmp_path_factory.mktemp("small-run")
    result = RunResult(bundle, report, figures["figures"], figures["baselines"], facts["version"], _training(made))
    shutil.copyfile(made / "mlflow.db", folder / "mlflow.db")
    return SmallRun(result, made / "data" / "corpus.jsonl", folder, _with_store(model_settings, folder))


def _make(folder: Path, model_settings: ModelSettings) -> RunResult:
    training = _training(folder)
    (data,) = (source.path for source in training.data)
    data.parent.mkdir()
    write_small_data(data, texts=600, held_out=180)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(training, _with_store(model_settings, folder))


def _training(folder: Path) -> TrainingSettings:
    data = folder / "data" / "corpus.jsonl"
    return TrainingSettings(data=data, output=folder / "runs", layers=2, max_steps=STEPS, version="small")


def _with_store(model_settings: ModelSettings, folder: Path) -> ModelSettings:
    return model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db", "bundle": "auto"})


def _state_of_the_code() -> str:
    """Digest of what decides the small run."""
    root = Path(__file__).parents[1]
    files = [root / "constraints.txt", Path(__file__), root / "tests/training/small_data.py", *corpus_paths()]
    for room in ("models", "training"):
        files += [file for file in (root / room).rglob("*") if file.suffix in {".py", ".yaml", ".md", ".html"}]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:32]


@pytest.fixture(scope="session")
def scorer(small_run: SmallRun) -> Scorer:
    """A small, real scorer: two layers, barely trained. For structure and behaviour, not for particular scores."""
    return Scorer.of_bundle(small_run.result.bundle, small_run.settings)


@pytest.fixture(scope="session")
def released_scorer(model_settings: ModelSettings) -> Scorer:
    """The model that ships."""
    with _one_process_at_a_time(model_settings):
        return Scorer.of_bundle(open_bundle(RELEASED), model_settings)
