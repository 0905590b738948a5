"""A running application around the small real scorer, and what else several modules need."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.app import create_app
from serving.settings import ServingSettings
from tests.conftest import SmallRun

OpenClient = Callable[..., TestClient]


@pytest.fixture(scope="session")
def eager_scorer(scorer: Scorer) -> Scorer:
    """The small scorer with thresholds so low that no label is ever absent: every label has evidence."""
    labels = {name: replace(one, absent_below=0.0, present_from=0.5) for name, one in scorer.calibration.labels.items()}
    calibration = replace(scorer.calibration, labels=labels)
    return Scorer(scorer.runner, scorer.taxonomy, calibration, scorer.identity, metrics=scorer.metrics, card=scorer.card)


@pytest.fixture
def open_client() -> Iterator[OpenClient]:
    """Start an application with a given scorer factory, and end it after the test; waits until it is ready by default."""
    opened: list[TestClient] = []

    def start(factory: Callable[[], Scorer], *, wait: bool = True, **settings: int) -> TestClient:
        client = TestClient(create_app(factory, ServingSettings(**settings)))  # type: ignore[arg-type]
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
    with TestClient(create_app(lambda: eager_scorer, ServingSettings())) as ready:
        wait_until_ready(ready)
        yield ready


@pytest.fixture(scope="session")
def bundle_folder(small_run: SmallRun) -> Path:
    """For other processes, which get it as SIGNAAL_BUNDLE."""
    folder: Path = small_run.result.bundle.folder
    return folder


def wait_until_ready(client: TestClient) -> None:
    for _ in range(600):
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("not ready after 30 seconds")
