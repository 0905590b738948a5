"""A running application around the small real scorer, and what else several modules need."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.runtime import GraphRunner, Scorer, WindowScore
from models.scores import AdScore
from models.windows import Window
from serving.app import create_app
from serving.fleet import Source
from serving.settings import ServingSettings
from tests.conftest import SmallRun
from tests.waiting import until

OpenClient = Callable[..., TestClient]


@pytest.fixture(scope="session", autouse=True)
def _own_host() -> Iterator[None]:
    """``TestClient`` calls every server so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNAAL_SERVE_HOSTS", "testserver")
        yield


@pytest.fixture(scope="session")
def eager_scorer(scorer: Scorer) -> Scorer:
    """The small scorer with thresholds so low that no label is ever absent: every label has evidence."""
    labels = {name: replace(one, absent_below=0.0, present_from=0.5) for name, one in scorer.calibration.labels.items()}
    calibration = replace(scorer.calibration, labels=labels)
    return Scorer(scorer.runner, scorer.taxonomy, calibration, scorer.identity, metrics=scorer.metrics, card=scorer.card)


def only(factory: Callable[[], Scorer]) -> Source:
    """One champion, and no other model."""
    return Source(lambda alias: "the only one" if alias == "champion" else None, lambda _: factory())


class Fussy(Scorer):
    """The real scorer, but it fails on some texts, with an error that says them."""

    def __init__(self, real: Scorer, fails: Callable[[str], bool]) -> None:
        super().__init__(real.runner, real.taxonomy, real.calibration, real.identity, metrics=real.metrics)
        self.fails = fails

    def answer(self, text: str, *args: Any, **kwargs: Any) -> AdScore:
        if self.fails(text):
            try:
                raise KeyError(text)
            except KeyError as error:
                raise RuntimeError(f"cannot score {text!r}") from error
        return super().answer(text, *args, **kwargs)


class GatedRunner(GraphRunner):
    """The real graph behind a gate: while it is shut, batches wait. Remembers the batches that went in."""

    def __init__(self, real: GraphRunner, token_budget: int, callers: int = 1) -> None:
        self.__dict__.update(real.__dict__)
        self.token_budget, self.callers = token_budget, callers
        self.gate, self.inside = threading.Event(), threading.Event()
        self.gate.set()
        self.batches: list[list[Window]] = []

    def forward(self, windows: Sequence[Window]) -> list[WindowScore]:
        self.inside.set()
        assert self.gate.wait(30)
        self.batches.append(list(windows))
        return super().forward(windows)

    def shut(self) -> None:
        """From now on batches wait; forget those that went before."""
        self.gate.clear()
        self.inside.clear()
        self.batches.clear()


@pytest.fixture
def gated(eager_scorer: Scorer) -> Iterator[GatedRunner]:
    runner = GatedRunner(eager_scorer.runner, token_budget=512)
    yield runner
    runner.gate.set()


@pytest.fixture
def gated_scorer(eager_scorer: Scorer, gated: GatedRunner) -> Scorer:
    return Scorer(gated, eager_scorer.taxonomy, eager_scorer.calibration, eager_scorer.identity, metrics=eager_scorer.metrics)


@pytest.fixture
def open_client() -> Iterator[OpenClient]:
    """Start an application with a given scorer factory, and end it after the test; waits until it is ready by default."""
    opened: list[TestClient] = []

    def start(factory: Callable[[], Scorer], *, wait: bool = True, **settings: float) -> TestClient:
        client = TestClient(create_app(only(factory), ServingSettings(**settings)))  # type: ignore[arg-type]
        client.__enter__()
        opened.append(client)
        if wait:
            wait_until_ready(client)
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(eager_scorer: Scorer) -> Iterator[TestClient]:
    """An application that is ready; shared, since requests leave nothing behind."""
    with TestClient(create_app(only(lambda: eager_scorer), ServingSettings())) as ready:
        wait_until_ready(ready)
        yield ready


@pytest.fixture(scope="session")
def bundle_folder(small_run: SmallRun) -> Path:
    """For other processes, which get it as SIGNAAL_BUNDLE."""
    folder: Path = small_run.result.bundle.folder
    return folder


def wait_until_ready(client: TestClient) -> None:
    until(lambda: client.get("/readyz").status_code == 200)
