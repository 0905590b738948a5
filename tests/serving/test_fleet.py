"""From nothing to a model in service."""

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.errors import BundleError
from models.runtime import Scorer
from serving.app import create_app
from serving.errors import NotReadyError, UnknownModelError
from serving.fleet import Fleet, Source
from serving.settings import ServingSettings
from tests.serving.conftest import Fussy, GatedRunner, only, wait_until_ready
from tests.serving.exposition import Exposition
from tests.waiting import until


def test_before_it_is_ready_nothing_is_taken(eager_scorer: Scorer) -> None:
    fleet = Fleet(only(lambda: eager_scorer), ServingSettings())
    assert fleet.model is None
    with pytest.raises(NotReadyError, match="being loaded"):
        asyncio.run(fleet.score(["x"], [None]))


def test_every_score_comes_with_the_model_that_gave_it(eager_scorer: Scorer) -> None:
    fleet = Fleet(only(lambda: eager_scorer), ServingSettings())
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

    fleet = Fleet(only(broken), ServingSettings(), told.append)
    fleet.start()
    until(lambda: bool(told))
    assert told == [error]
    assert "No new champion: heads.safetensors" in caplog.text
    with pytest.raises(NotReadyError, match="could not be loaded"):
        _ = fleet.scorer


def test_a_model_that_cannot_score_the_probe_is_not_ready(eager_scorer: Scorer) -> None:
    told: list[Exception] = []
    fleet = Fleet(only(lambda: Fussy(eager_scorer, lambda _: True)), ServingSettings(), told.append)
    fleet.start()
    until(lambda: bool(told))
    assert isinstance(told[0], RuntimeError)
    assert fleet.model is None


def version(scorer: Scorer, number: str) -> Scorer:
    """The same model under another version, with a digest of its own."""
    identity = replace(
        scorer.identity, version=number, bundle_digest=f"{number.replace('.', '')}{scorer.identity.bundle_digest}"[:64]
    )
    return Scorer(scorer.runner, scorer.taxonomy, scorer.calibration, identity, metrics=scorer.metrics)


def shifted(scorer: Scorer, number: str, by: float) -> Scorer:
    """A version whose logits are all so much higher."""
    labels = {name: replace(one, bias=one.bias + by) for name, one in scorer.calibration.labels.items()}
    other = version(scorer, number)
    other.calibration = replace(scorer.calibration, labels=labels)
    return other


class Shelf:
    """A registry: places with models, and aliases that can be moved while a fleet looks."""

    def __init__(self, **models: Scorer) -> None:
        self.models = models
        self.aliases: dict[str, str] = {}
        self.opened: list[str] = []

    @property
    def source(self) -> Source:
        return Source(self.aliases.get, self._open)

    def _open(self, place: str) -> Scorer:
        self.opened.append(place)
        if place not in self.models:
            raise BundleError(f"{place} is broken.")
        return self.models[place]


@pytest.fixture
def shelf(eager_scorer: Scorer) -> Shelf:
    shelf = Shelf(one=version(eager_scorer, "1.0"), two=version(eager_scorer, "2.0"), low=shifted(eager_scorer, "3.0", -4))
    shelf.aliases["champion"] = "one"
    return shelf


SWIFT: dict[str, Any] = {"models": "champion,challenger", "models_poll_seconds": 0.05}


@pytest.fixture
def opened(shelf: Shelf) -> Iterator[Callable[..., TestClient]]:
    """An application on the shelf, ready."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        client = TestClient(create_app(shelf.source, ServingSettings(**{**SWIFT, **settings})))
        client.__enter__()
        clients.append(client)
        wait_until_ready(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def ask(client: TestClient, **more: Any) -> Any:
    return client.post("/v1/score", json={"ads": [{"id": "a", "text": "Your passport stays here."}], "evidence": False, **more})


def answering(client: TestClient) -> str:
    found: str = ask(client).json()["model"]["version"]
    return found


def listed(client: TestClient) -> list[str]:
    return [one["model"]["version"] for one in client.get("/v1/models").json()["models"]]


def test_when_the_alias_moves_the_new_model_answers_and_no_request_is_lost(
    shelf: Shelf, opened: Callable[..., TestClient]
) -> None:
    client = opened()
    seen: list[tuple[int, str]] = []
    going_on = True

    def load() -> None:
        while going_on:
            answer = ask(client)
            seen.append((answer.status_code, answer.json()["model"]["version"]))

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        until(lambda: len(seen) > 20)
        shelf.aliases["champion"] = "two"
        until(lambda: answering(client) == "2.0")
        after = len(seen)
        until(lambda: len(seen) > after + 20)
        going_on = False
        for one in loads:
            one.result()
    assert {status for status, _ in seen} == {200}
    assert {model for _, model in seen} == {"1.0", "2.0"}
    assert {model for _, model in seen[after + 8 :]} == {"2.0"}, "once it has switched it stays so"


def test_a_version_can_be_pinned_and_a_retired_one_says_until_when(shelf: Shelf, opened: Callable[..., TestClient]) -> None:
    client = opened(keep_retired_seconds=300)
    shelf.aliases["champion"] = "two"
    until(lambda: answering(client) == "2.0")
    for name in ("champion", "2.0", shelf.models["two"].identity.bundle_digest, shelf.models["two"].identity.bundle_digest[:8]):
        answer = ask(client, model=name)
        assert answer.json()["model"]["version"] == "2.0"
        assert "deprecation" not in answer.headers
    old = ask(client, model="1.0")
    assert old.json()["model"]["version"] == "1.0"
    assert abs(int(old.headers["deprecation"].removeprefix("@")) - time.time()) < 60
    assert 200 < parsedate_to_datetime(old.headers["sunset"]).timestamp() - time.time() <= 300
    stream = client.post("/v1/score/stream?model=1.0", content=b'{"text": "x"}', headers={"Content-Type": "application/x-ndjson"})
    assert stream.json()["model"]["version"] == "1.0"
    assert "sunset" in stream.headers
    listed = client.get("/v1/models").json()["models"]
    assert [(one["aliases"], one["model"]["version"], one["sunset"] is None) for one in listed] == [
        (["champion"], "2.0", True),
        ([], "1.0", False),
    ]


def test_a_retired_model_is_let_go_and_a_rollback_before_that_needs_no_loading(
    shelf: Shelf, opened: Callable[..., TestClient]
) -> None:
    client = opened(keep_retired_seconds=300)
    for place, number in (("two", "2.0"), ("one", "1.0")):
        shelf.aliases["champion"] = place
        until(lambda number=number: answering(client) == number)  # type: ignore[misc]
    assert shelf.opened == ["one", "two"]
    assert "sunset" not in ask(client, model="1.0").headers
    hasty = opened(keep_retired_seconds=0)
    shelf.aliases["champion"] = "two"
    until(lambda: ask(hasty, model="1.0").status_code == 422)
    assert answering(hasty) == "2.0"


def test_beyond_the_number_that_is_kept_the_oldest_retired_model_goes_and_what_it_took_is_answered(
    shelf: Shelf, opened: Callable[..., TestClient], gated: GatedRunner, gated_scorer: Scorer
) -> None:
    shelf.models["one"] = version(gated_scorer, "1.0")
    client = opened(keep_retired_seconds=300, keep_retired_models=1)
    fleet: Fleet = client.app.state.fleet  # type: ignore[attr-defined]
    line = weakref.ref(fleet.pick("1.0").line)
    gated.shut()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, client)
        assert gated.inside.wait(30)
        for place, in_service in (("two", ["2.0", "1.0"]), ("low", ["3.0", "2.0"])):
            shelf.aliases["champion"] = place
            until(lambda in_service=in_service: listed(client) == in_service)  # type: ignore[misc]
        assert ask(client, model="1.0").status_code == 422
        gated.gate.set()
        answer = waiting.result(30)
    assert (answer.status_code, answer.json()["model"]["version"]) == (200, "1.0")
    until(lambda: bool(gc.collect() + 1) and line() is None)


def test_a_model_that_is_not_in_service_is_refused_with_those_that_are(opened: Callable[..., TestClient]) -> None:
    client = opened()
    answer = ask(client, model="geheimtekst")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["pointer"]) == ("model", "#/model")
    assert error["detail"] == "No such model is in service; there are: 1.0, champion. GET /v1/models tells more."
    assert "geheimtekst" not in answer.text
    streamed = client.post("/v1/score/stream?model=no", content=b"", headers={"Content-Type": "application/x-ndjson"})
    assert streamed.status_code == 422


def test_a_broken_new_champion_leaves_the_old_one_in_service(
    shelf: Shelf, opened: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    client = opened()
    shelf.aliases["champion"] = "nowhere"
    until(lambda: shelf.opened.count("nowhere") > 2)
    assert answering(client) == "1.0"
    assert caplog.text.count("No new champion: nowhere is broken.") == 1, "said once, however often it is tried"
    shelf.aliases["champion"] = "two"
    until(lambda: answering(client) == "2.0")


def test_the_challenger_reads_along_and_the_differences_are_counted(shelf: Shelf, opened: Callable[..., TestClient]) -> None:
    client = opened(shadow_share=1.0)
    shelf.aliases["challenger"] = "low"
    until(lambda: ask(client, model="challenger").status_code == 200)
    counted: dict[str, Any] = {}
    for _ in range(200):
        answer = ask(client, indicators=["debt_or_fees", "states_limits"]).json()
        assert answer["model"]["version"] == "1.0"
        shadow = client.get("/v1/models").json()["shadow"]
        counted = shadow["differences"]
        if counted and counted["debt_or_fees"]["ads"] >= 3:
            break
    assert set(counted) == {"debt_or_fees", "states_limits"}, "a counter-indicator as well"
    assert shadow["ads"] == counted["debt_or_fees"]["ads"]
    fits = (shelf.models[place].calibration.labels["debt_or_fees"] for place in ("one", "low"))
    raw = shelf.models["one"].runner.run(["Your passport stays here."])[0]
    column = shelf.models["one"].taxonomy.label_ids.index("debt_or_fees")
    before, after = (fit.probability(float(raw.logits[column])) for fit in fits)
    assert counted["debt_or_fees"]["mean_shift"] == pytest.approx(before - after, abs=1e-4)


def test_what_the_comparison_finds_is_in_the_metrics(
    shelf: Shelf, opened: Callable[..., TestClient], eager_scorer: Scorer
) -> None:
    shelf.models["high"], shelf.aliases["champion"] = shifted(eager_scorer, "4.0", 20), "high"
    client = opened(shadow_share=1.0)
    nothing = Exposition(client)
    assert nothing.value("signaal_shadow_share") == 1
    assert "signaal_shadow_ads_total" not in nothing.names, "there is no challenger"
    shelf.aliases["challenger"] = "low"
    until(lambda: ask(client, model="challenger").status_code == 200)

    def compared() -> Any:
        return client.get("/v1/models").json()["shadow"]

    until(lambda: ask(client).status_code == 200 and compared()["ads"] >= 3)
    before, found, after = None, Exposition(client), compared()
    while before != after:  # a comparison may still be under way
        before, found, after = after, Exposition(client), compared()
    assert found.value("signaal_shadow_ads_total", champion=name(shelf, "high"), challenger=name(shelf, "low")) == after["ads"]
    assert found.value("signaal_shadow_left_out_total") == after["left_out"]
    assert set(after["differences"]) == set(shelf.models["one"].taxonomy.label_ids)
    for label, one in after["differences"].items():
        assert found.value("signaal_shadow_compared_total", indicator=label) == one["ads"]
        assert found.value("signaal_shadow_changes_total", indicator=label) == one["other_status"]
        for change in ("newly_present", "no_longer_present"):
            assert found.value("signaal_shadow_changes_total", indicator=label, change=change) == one[change]
        assert found.value("signaal_shadow_shift_total", indicator=label) == pytest.approx(one["mean_shift"] * one["ads"])
    assert found.value("signaal_shadow_changes_total", change="no_longer_present") > 0, "for the champion all are present"
    shelf.aliases["challenger"] = "two"
    until(lambda: ask(client, model="challenger").json()["model"]["version"] == "2.0")
    (pair,) = Exposition(client).series("signaal_shadow_ads_total")
    assert pair["challenger"] == name(shelf, "two"), "counted anew for another pair"


def name(shelf: Shelf, place: str) -> str:
    identity = shelf.models[place].identity
    return f"{identity.version}@{identity.bundle_digest[:8]}"


def notes(client: TestClient) -> list[str]:
    said: list[str] = client.get("/readyz").json()["notes"]
    return said


NO_CHALLENGER = "No model is called challenger, which SIGNAAL_SERVE_MODELS names."
SAME = "The challenger is the same model as the champion, so there is nothing to compare."


def test_a_challenger_that_is_not_there_or_is_the_champion_is_said_and_logged_once(
    shelf: Shelf, opened: Callable[..., TestClient], eager_scorer: Scorer, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.models["same"] = version(eager_scorer, "1.0")
    client = opened(shadow_share=1.0)
    until(lambda: notes(client) == [NO_CHALLENGER])
    for place in ("one", "same"):  # the same place, and the same bundle elsewhere
        shelf.aliases["challenger"] = place
        until(lambda: notes(client) == [SAME])
    ask(client)
    assert client.get("/v1/models").json()["shadow"]["ads"] == 0
    assert "signaal_shadow_ads_total" not in Exposition(client).names
    shelf.aliases["challenger"] = "low"
    until(lambda: notes(client) == [])
    for said in (NO_CHALLENGER, SAME):
        assert caplog.text.count(said) == 1


def test_a_challenger_that_is_broken_is_said_without_what_the_log_says(shelf: Shelf, opened: Callable[..., TestClient]) -> None:
    shelf.aliases["challenger"] = "nowhere"
    client = opened()
    until(lambda: notes(client) == ["The model of challenger could not be loaded; the service's log says why."])
    assert answering(client) == "1.0"


def test_a_share_without_a_challenger_is_said(shelf: Shelf, opened: Callable[..., TestClient]) -> None:
    client = opened(models="champion", shadow_share=0.5)
    said = "SIGNAAL_SERVE_SHADOW_SHARE is set, but SIGNAAL_SERVE_MODELS names no challenger: nothing is compared."
    until(lambda: notes(client) == [said])


def test_without_a_share_the_challenger_is_never_asked(shelf: Shelf, opened: Callable[..., TestClient]) -> None:
    shelf.aliases["challenger"] = "low"
    client = opened()
    until(lambda: len(client.get("/v1/models").json()["models"]) == 2)
    for _ in range(5):
        ask(client)
    shadow = client.get("/v1/models").json()["shadow"]
    assert (shadow["differences"], shadow["left_out"]) == ({}, 0)


def test_a_pinned_model_that_goes_while_its_request_waits_is_told(eager_scorer: Scorer, shelf: Shelf) -> None:
    fleet = Fleet(shelf.source, ServingSettings(**SWIFT))
    fleet.start()
    until(lambda: fleet.model is not None)
    with pytest.raises(UnknownModelError):
        asyncio.run(fleet.score(["x"], [None], model="9.9"))
    fleet.stop()
    with pytest.raises(NotReadyError):
        asyncio.run(fleet.score(["x"], [None]))
