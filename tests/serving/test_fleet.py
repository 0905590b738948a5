"""From nothing to a model in service."""

import asyncio
import logging
import time
from collections.abc import Callable

import pytest

from models.errors import BundleError
from models.runtime import Scorer
from serving.errors import NotReadyError
from serving.fleet import Fleet
from serving.settings import ServingSettings
from tests.serving.conftest import Fussy


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not after 30 seconds")


def test_before_it_is_ready_nothing_is_taken(eager_scorer: Scorer) -> None:
    fleet = Fleet(lambda: eager_scorer, ServingSettings())
    assert fleet.model is None
    with pytest.raises(NotReadyError, match="being loaded"):
        asyncio.run(fleet.score(["x"], [None]))


def test_every_score_comes_with_the_model_that_gave_it(eager_scorer: Scorer) -> None:
    fleet = Fleet(lambda: eager_scorer, ServingSettings())
    fleet.start()
    until(lambda: fleet.model is not None)
    model, (score,) = asyncio.run(fleet.score(["Passport stays here"], ["en"], ["debt_or_fees"]))
    assert model.bundle_digest == eager_scorer.identity.bundle_digest
    assert list(score.indicators) == ["debt_or_fees"]
    fleet.stop()


def test_a_failure_to_load_is_logged_told_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[Exception] = []
    error = BundleError("heads.safetensors does not match its SHA-256.")

    def broken() -> Scorer:
        raise error

    fleet = Fleet(broken, ServingSettings(), told.append)
    fleet.start()
    until(lambda: bool(told))
    assert told == [error]
    assert "No model: heads.safetensors" in caplog.text
    with pytest.raises(NotReadyError, match="could not be loaded"):
        _ = fleet.scorer


def test_a_model_that_cannot_score_the_probe_is_not_ready(eager_scorer: Scorer) -> None:
    told: list[Exception] = []
    fleet = Fleet(lambda: Fussy(eager_scorer, lambda _: True), ServingSettings(), told.append)
    fleet.start()
    until(lambda: bool(told))
    assert isinstance(told[0], RuntimeError)
    assert fleet.model is None
