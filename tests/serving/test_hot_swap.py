"""The alias moves, twice, while eight callers send without pause: a server in a process of its own, and a real registry."""

import itertools
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from models.bundle import Bundle, seal
from models.registry import promote
from models.runtime import Scorer
from models.settings import ModelSettings
from tests.conftest import SmallRun
from tests.serving.listening import serving_process
from tests.waiting import until
from training.tracking import register

CALLERS = 8
SEEN = 5
"""So many answers of a version has every caller before the alias moves on."""
Probabilities = dict[str, float]


@dataclass(frozen=True)
class Registry:
    """A store with three versions of one model, whose scores are far apart."""

    settings: ModelSettings
    numbers: list[str]
    bundles: list[Bundle]

    def promote(self, version: int) -> None:
        promote(self.numbers[version], self.settings)


@pytest.fixture
def registry(small_run: SmallRun, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    store = f"sqlite:///{shutil.copyfile(small_run.folder / 'mlflow.db', tmp_path / 'mlflow.db')}"
    settings = small_run.settings.model_copy(update={"mlflow_tracking_uri": store})
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("hot-swap", (tmp_path / "artifacts").as_uri()))
    numbers, bundles = [small_run.result.registered_version], [small_run.result.bundle]
    for name, shift in (("lower", -2.0), ("higher", 2.0)):
        bundles.append(shifted(small_run.result.bundle, tmp_path / name, shift))
        with mlflow.start_run():
            numbers.append(register(bundles[-1], scorer, settings))
    return Registry(settings, numbers, bundles)


def shifted(bundle: Bundle, folder: Path, shift: float) -> Bundle:
    """A copy under the folder's name as its version, which gives all labels other probabilities."""
    shutil.copytree(bundle.folder, folder)
    old = bundle.calibration
    labels = {name: replace(one, bias=one.bias + shift) for name, one in old.labels.items()}
    (folder / "calibration.json").write_text(json.dumps(replace(old, labels=labels).to_json()))
    return seal(folder, **bundle.manifest.model_dump(exclude={"files"}) | {"version": folder.name})


@dataclass
class Caller:
    """Sends one text again and again over one connection, and keeps what came back."""

    text: str
    answers: list[tuple[str, Probabilities]] = field(default_factory=list)
    """Version and probabilities."""
    connections: set[Any] = field(default_factory=set)

    def send(self, url: str, stop: threading.Event) -> None:
        body = {"ads": [{"id": "a", "text": self.text}], "evidence": False}
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                answer = client.post(f"{url}/v1/score", json=body)
                assert answer.status_code == 200, answer.text
                self.connections.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
                found = answer.json()
                labels: dict[str, Any] = found["results"][0]["indicators"]
                probabilities = {name: one["probability"] for name, one in labels.items()}
                self.answers.append((found["model"]["version"], probabilities))

    def heard(self, version: str) -> int:
        return sum(of == version for of, _ in self.answers)


def test_no_request_fails_and_every_score_is_of_the_version_that_the_answer_names(registry: Registry, tmp_path: Path) -> None:
    callers = [Caller(f"Pickers wanted, farm {i}. The bus costs {i}00 and your passport stays here.") for i in range(CALLERS)]
    versions = [bundle.manifest.version for bundle in registry.bundles]
    registry.promote(0)
    stop = threading.Event()
    with (
        serving_process("models:/signaal@champion", tmp_path / "log", models_poll_seconds=0.2) as server,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        sending = [pool.submit(caller.send, server.url, stop) for caller in callers]
        try:
            for number, version in enumerate(versions):
                registry.promote(number)
                until(
                    lambda version=version: any(s.done() for s in sending) or all(c.heard(version) >= SEEN for c in callers), 180
                )  # type: ignore[misc]
        finally:
            stop.set()
        for one in sending:
            one.result()
        log = server.log.read_text()
    assert "Traceback" not in log

    expected = {
        version: scores_of(bundle, registry.settings, callers) for version, bundle in zip(versions, registry.bundles, strict=True)
    }
    for row, caller in enumerate(callers):
        assert len(caller.connections) == 1
        assert [version for version, _ in itertools.groupby(caller.answers, key=lambda one: one[0])] == versions
        for version, found in caller.answers:
            assert found == pytest.approx(expected[version][row], abs=1e-4)
        for one, other in itertools.combinations(versions, 2):
            assert max(abs(expected[one][row][label] - p) for label, p in expected[other][row].items()) > 0.01


def scores_of(bundle: Bundle, settings: ModelSettings, callers: list[Caller]) -> list[Probabilities]:
    scores = Scorer.of_bundle(bundle, settings).score([caller.text for caller in callers])
    return [{label: one.probability for label, one in score.indicators.items()} for score in scores]
