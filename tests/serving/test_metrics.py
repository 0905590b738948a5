"""What ``GET /metrics`` says after this and that was done."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from models.errors import BundleError
from models.profile import OTHER
from models.runtime import Scorer
from serving.metrics import Metrics
from tests.serving.conftest import Fussy, GatedRunner
from tests.serving.exposition import Exposition

OpenClient = Callable[..., TestClient]

TEXT = "Plukkers gezocht. Je paspoort blijft op kantoor en de bus kost 900 euro, dat gaat van je loon af."


def ask(client: TestClient, *texts: str, **more: object) -> int:
    ads = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    return client.post("/v1/score", json={"ads": ads, **more}).status_code


@pytest.fixture
def profiled(eager_scorer: Scorer, scorer: Scorer) -> Scorer:
    """The eager scorer with the profile of its bundle."""
    e = eager_scorer
    return Scorer(e.runner, e.taxonomy, e.calibration, e.identity, metrics=e.metrics, profile=scorer.profile)


def test_requests_are_counted_by_route_method_and_status(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    assert ask(client, TEXT) == 200
    assert ask(client, " ") == 422
    client.get("/nowhere/at/all")
    client.request("BREW", "/v1/score")
    found = Exposition(client)
    assert found.value("signaal_requests_total", route="/v1/score", method="POST", status="200") == 1
    assert found.value("signaal_requests_total", route="/v1/score", method="POST", status="422") == 1
    assert found.value("signaal_requests_total", route="-", status="404") == 1
    assert found.value("signaal_requests_total", method="other", status="405") == 1
    assert found.value("signaal_request_seconds_count", route="/v1/score") == 3
    assert found.value("signaal_request_seconds_sum", route="/v1/score") > 0


def test_the_stages_and_batches_of_what_was_scored(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    ask(client, TEXT, "Short.", "word " * 400)
    found = Exposition(client)
    for stage in ("read", "queue", "graph", "answer"):
        assert found.value("signaal_stage_seconds_count", stage=stage) == 1
    assert found.value("signaal_stage_seconds_sum") < found.value("signaal_request_seconds_sum", route="/v1/score")
    windows = eager_scorer.runner.window_maker.windows([TEXT, "Short.", "word " * 400])
    assert found.value("signaal_batch_rows_sum") == len(windows) > 3
    assert found.value("signaal_batch_tokens_sum") == sum(map(len, windows))
    assert found.value("signaal_batch_padding_ratio_count") == found.value("signaal_batch_seconds_count") >= 1
    assert 0 < found.value("signaal_batch_padding_ratio_sum") < found.value("signaal_batch_seconds_count")
    assert found.value("signaal_batch_failures_total") == 0


def test_ads_scores_and_decisions_by_indicator_and_language(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    answer = client.post(
        "/v1/score",
        json={
            "ads": [
                {"id": "a", "text": TEXT, "language": "nl"},
                {"id": "b", "text": TEXT, "language": "en"},
                {"id": "c", "text": TEXT, "language": "qqx"},
            ],
            "indicators": ["debt_or_fees", "states_limits"],
        },
    ).json()
    found = Exposition(client)
    assert found.value("signaal_ads_total", language="nl") == found.value("signaal_ads_total", language="en") == 1
    assert found.value("signaal_ads_total", language=OTHER) == 1
    assert {one["language"] for one in found.series("signaal_score_count")} == {"nl", "en", OTHER}
    assert {one["indicator"] for one in found.series("signaal_score_count")} == {"debt_or_fees", "states_limits"}
    said = [one["indicators"]["debt_or_fees"] for one in answer["results"]]
    assert found.value("signaal_score_sum", indicator="debt_or_fees") == pytest.approx(sum(one["probability"] for one in said))
    for status in ("present", "uncertain", "absent"):
        expected = sum(one["status"] == status for one in said)
        assert found.value("signaal_decisions_total", indicator="debt_or_fees", status=status) == expected


def test_a_stream_counts_its_ads_and_its_bad_lines(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    body = f'{{"text": "{TEXT}"}}\noops\n{{"text": "{TEXT} Bel."}}\n'
    answer = client.post("/v1/score/stream", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert len(answer.text.splitlines()) == 3
    found = Exposition(client)
    assert found.value("signaal_ads_total") == 2
    assert found.value("signaal_rejected_total", reason="invalid-line") == 1


def test_rejections_are_counted_by_reason(open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner) -> None:
    client = open_client(lambda: gated_scorer, max_waiting_ads=1, max_body_bytes=1024)
    assert ask(client, " ") == 422
    assert ask(client, "x" * 2000) == 413
    assert client.post("/v1/score", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    gated.shut()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, client, "Ad")
        assert gated.inside.wait(30)
        assert ask(client, "One too many") == 503
        waiting = Exposition(client)
        gated.gate.set()
        assert first.result(30) == 200
    found = Exposition(client)
    for reason in ("invalid-request", "too-large", "not-json", "busy"):
        assert found.value("signaal_rejected_total", reason=reason) == 1, reason
    assert waiting.value("signaal_queue_ads") == 1
    assert found.value("signaal_queue_ads") == found.value("signaal_queue_tokens") == 0
    assert found.value("signaal_expected_wait_seconds") == 0


def test_what_waits_for_the_graph_is_seen(open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner) -> None:
    client = open_client(lambda: gated_scorer)
    gated.shut()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, client, "Ad")
        assert gated.inside.wait(30)
        second = pool.submit(ask, client, "Another ad")
        for _ in range(600):
            found = Exposition(client)
            if found.value("signaal_queue_tokens"):
                break
        gated.gate.set()
        assert (first.result(30), second.result(30)) == (200, 200)
    assert found.value("signaal_queue_tokens") == len(gated.window_maker.windows(["Another ad"])[0])
    assert found.value("signaal_queue_ads") == 2
    assert found.value("signaal_expected_wait_seconds") > 0


def test_a_graph_that_fails_is_counted(
    open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(lambda: gated_scorer)

    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(gated, "forward", fail)
    assert ask(client, "Ad") == 500
    found = Exposition(client)
    assert found.value("signaal_batch_failures_total") == 1
    assert found.value("signaal_rejected_total", reason="unexpected") == 1
    assert found.value("signaal_ads_total") == 0


def test_the_state_goes_from_loading_to_ready_and_the_model_is_named(open_client: OpenClient, eager_scorer: Scorer) -> None:
    loaded = threading.Event()

    def slow() -> Scorer:
        assert loaded.wait(30)
        return eager_scorer

    client = open_client(slow, wait=False)
    found = Exposition(client)
    assert found.value("signaal_state", state="loading") == 1
    assert found.value("signaal_state") == 1, "one state at a time"
    assert found.series("signaal_model_info") == []
    loaded.set()
    for _ in range(600):
        if client.get("/readyz").status_code == 200:
            break
    found = Exposition(client)
    assert found.value("signaal_state", state="ready") == 1
    (info,) = found.series("signaal_model_info")
    identity = eager_scorer.identity
    assert (info["name"], info["version"], info["digest"]) == (identity.name, identity.version, identity.bundle_digest[:8])


def test_a_model_that_cannot_be_loaded_is_a_state(open_client: OpenClient) -> None:
    def broken() -> Scorer:
        raise BundleError("heads.safetensors does not match its SHA-256.")

    client = open_client(broken, wait=False)
    for _ in range(600):
        found = Exposition(client)
        if found.value("signaal_state", state="failed"):
            break
    assert found.value("signaal_state", state="failed") == found.value("signaal_state") == 1


def test_without_a_profile_there_is_no_drift_and_it_says_so(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    ask(client, TEXT)
    found = Exposition(client)
    assert [found.value("signaal_profile_loaded", **one) for one in found.series("signaal_profile_loaded")] == [0]
    for name in ("signaal_drift_psi", "signaal_drift_ads", "signaal_unknown_token_rate", "signaal_emoji_rate"):
        assert found.series(name) == []


def test_with_a_profile_drift_stands_beside_the_reference(open_client: OpenClient, profiled: Scorer) -> None:
    assert profiled.profile is not None
    client = open_client(lambda: profiled)
    before = Exposition(client)
    assert before.value("signaal_emoji_rate", source="reference") == profiled.profile.emoji_rate
    assert before.series("signaal_drift_psi") == []
    assert {one["source"] for one in before.series("signaal_emoji_rate")} == {"reference"}
    for batch in range(4):
        ask(client, *[f"🙂 {TEXT} {batch} {i}" for i in range(50)], evidence=False)
    found = Exposition(client)
    assert found.value("signaal_profile_loaded") == 1
    assert found.value("signaal_drift_ads") == 200
    psi = {one["indicator"]: found.value("signaal_drift_psi", **one) for one in found.series("signaal_drift_psi")}
    assert set(psi) == set(profiled.taxonomy.label_ids)
    assert max(psi.values()) > 0.25, "two hundred times the same is not what the validation split is like"
    assert found.value("signaal_emoji_rate", source="window") == pytest.approx(1 / len(f"🙂 {TEXT} 0 10"), rel=0.02)
    assert found.value("signaal_unknown_token_rate", source="reference") == profiled.profile.unknown_token_rate
    assert found.value("signaal_language_share", source="window", language="nl") > 0.9


def test_each_application_counts_for_itself(open_client: OpenClient, eager_scorer: Scorer) -> None:
    one, other = open_client(lambda: eager_scorer), open_client(lambda: eager_scorer)
    ask(one, TEXT)
    assert Exposition(one).value("signaal_ads_total") == 1
    assert Exposition(other).value("signaal_ads_total") == 0


def test_a_model_that_left_service_takes_its_series_with_it() -> None:
    metrics = Metrics()
    for model in ("1@aaaaaaaa", "2@bbbbbbbb"):
        metrics.know(model)
        metrics.ads.labels(model, "nl").inc()
        metrics.score.labels(model, "debt_or_fees", "nl").observe(0.5)
        metrics.decisions.labels(model, "debt_or_fees", "absent").inc()
    metrics.keep_only({"2@bbbbbbbb"})
    left = [s.labels["model"] for family in metrics.registry.collect() for s in family.samples if "model" in s.labels]
    assert set(left) == {"2@bbbbbbbb"}


def test_a_caller_cannot_make_new_series(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)

    def everything(number: int) -> None:
        client.request(f"VERB{number}", f"/path{number}", headers={"X-Request-ID": f"id{number}"})
        client.get(f"/playground/{number}")
        letter = chr(ord("a") + number)
        ads = [{"id": f"id{number}", "text": TEXT, "language": f"q{letter}{letter}"}]
        client.post("/v1/score", json={"ads": ads, "evidence": False})
        client.post("/v1/score", json={"ads": ads, f"field{number}": number, "indicators": [f"label{number}"]})

    everything(0)
    Exposition(client)  # which is a request, too
    before = len(Exposition(client).text.splitlines())
    for number in range(1, 6):
        everything(number)
    assert len(Exposition(client).text.splitlines()) == before


def test_two_bundles_of_one_version_have_series_of_their_own(open_client: OpenClient, eager_scorer: Scorer) -> None:
    other = Fussy(eager_scorer, lambda _: False)
    other.identity = replace(eager_scorer.identity, bundle_digest="f" * 64)
    client = open_client(lambda: other)
    ask(client, TEXT)
    (info,) = Exposition(client).series("signaal_model_info")
    assert info["model"] == f"{eager_scorer.identity.version}@ffffffff"
