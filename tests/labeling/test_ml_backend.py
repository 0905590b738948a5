import logging
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from labeling.label_studio import config_xml, place_of
from labeling.ml_backend import create_app
from models.calibration import Calibration
from models.runtime import Scorer
from models.taxonomy import packaged_taxonomy

TEXT = "🚌🚌 You pay back the bus first, and the boss keeps your passport."


@pytest.fixture(scope="module")
def suggesting(scorer: Scorer) -> Scorer:
    """The small real one, for which every other label is present: barely trained, it may find nothing."""
    labels = {
        name: replace(one, absent_below=0.0 if i % 2 else 1.0, present_from=0.0 if i % 2 else 1.1)
        for i, (name, one) in enumerate(scorer.calibration.labels.items())
    }
    calibration = Calibration(labels, scorer.calibration.document_type_temperature, 0.0)
    return Scorer(scorer.runner, scorer.taxonomy, calibration, scorer.identity)


@pytest.fixture(scope="module")
def client(suggesting: Scorer) -> TestClient:
    return TestClient(create_app(suggesting))


def test_label_studio_finds_it_up_and_learns_the_model(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "UP"
    body = {
        "project": "1.2",
        "schema": config_xml(packaged_taxonomy()),
        "hostname": "http://x",
        "access_token": "t",
        "extra_params": None,
    }
    answer = client.post("/setup", json=body)
    assert answer.status_code == 200
    assert answer.json()["model_version"].startswith("signaal small")
    assert client.post("/webhook", json={"action": "START_TRAINING"}).json() == {"status": "ignored"}
    assert client.get("/versions").json()["versions"] == [answer.json()["model_version"]]


def test_a_project_with_another_interface_is_told(client: TestClient) -> None:
    answer = client.post("/setup", json={"project": "1.2", "schema": '<View><Text name="text" value="$text"/></View>'})
    assert answer.status_code == 400
    assert "lacks evidence, labels, document_type" in answer.json()["error"]


def test_suggestions_fit_the_interface_and_the_text(client: TestClient) -> None:
    tasks = [
        {"id": 1, "data": {"text": TEXT, "ad_id": "a"}},
        {"id": 2, "data": {"image": "x"}},
        {"id": 3, "data": {"text": "Room to let."}},
    ]
    results = client.post("/predict", json={"tasks": tasks, "project": "1.2", "label_config": "", "params": {}}).json()["results"]
    assert [bool(r["result"]) for r in results] == [True, False, True]
    by_name: dict[str, list[dict[str, object]]] = {}
    for result in results[0]["result"]:
        by_name.setdefault(result["from_name"], []).append(result["value"])
    assert by_name["document_type"][0]["choices"][0] in packaged_taxonomy().document_type_ids  # type: ignore[index]
    assert by_name["labels"][0]["choices"] == list(packaged_taxonomy().label_ids)[1::2]
    assert by_name["evidence"]
    for value in by_name["evidence"]:
        assert place_of(TEXT, value["start"], value["end"], value["text"]) == (value["start"], value["end"])  # type: ignore[arg-type]
    assert 0 <= results[0]["score"] <= 1


@pytest.mark.parametrize("body", [{"tasks": [{"data": TEXT}]}, {"tasks": TEXT}, {"tasks": [{"data": {"text": TEXT}}] * 1001}])
def test_a_refusal_repeats_nothing_and_nothing_is_logged(
    client: TestClient, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert "tasks" in answer.json()["error"]
    assert "bus" not in answer.text
    assert "bus" not in caplog.text
