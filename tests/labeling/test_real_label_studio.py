"""Against a Label Studio that runs: ``docs/label-studio.md`` says how to start one and which variables name it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_server

import httpx
import pytest
import uvicorn

from labeling.annotation import Annotation
from labeling.label_studio import ExchangedAd, config_xml, from_tasks, to_tasks
from labeling.ml_backend import create_app, model_name
from labeling.regions import place_of
from models.example import Span
from models.runtime import Scorer
from models.taxonomy import packaged_taxonomy

URL, TOKEN = os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_URL"), os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_TOKEN")
TAXONOMY = packaged_taxonomy()
AD = ExchangedAd(id="ad-1", text="👩\u200d👧 🚌🚌 You pay back the bus first.", language="en")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (URL and TOKEN), reason="no Label Studio: set SIGNAAL_TEST_LABEL_STUDIO_URL and …_TOKEN"),
]


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(base_url=URL or "", headers={"Authorization": f"Token {TOKEN}"}, timeout=120) as client:
        yield client


@pytest.fixture
def project(client: httpx.Client) -> Iterator[int]:
    answer = client.post("/api/projects", json={"title": "Signaal's test", "label_config": config_xml(TAXONOMY)})
    assert answer.status_code == 201, answer.text
    yield answer.json()["id"]
    client.delete(f"/api/projects/{answer.json()['id']}")


@contextmanager
def backend(scorer: Scorer) -> Iterator[str]:
    with create_server(("127.0.0.1", 0)) as port:
        server = uvicorn.Server(uvicorn.Config(create_app(scorer), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


def test_it_takes_the_interface_and_gives_back_the_annotations_it_was_given(client: httpx.Client, project: int) -> None:
    place = AD.text.index("back")
    annotation = Annotation(
        ad_id=AD.id,
        annotator="3",
        labels={label: label == "debt_or_fees" for label in TAXONOMY.label_ids if label != "minor_age_cue"},
        document_type="recruitment_post",
        spans=(Span(start=place, end=place + 4, label="debt_or_fees"),),
        comment="the second line is cut off",
        seconds=12.5,
    )
    answer = client.post(f"/api/projects/{project}/import", json=to_tasks([AD], [annotation], taxonomy=TAXONOMY))
    assert answer.status_code == 201, answer.text
    exported = client.get(f"/api/projects/{project}/export", params={"exportType": "JSON"}).json()
    ads, (back,), problems = from_tasks(exported, TAXONOMY)
    assert problems == []
    assert ads == [AD]
    assert back.model_copy(update={"saved_at": None}) == annotation


def test_it_connects_the_backend_and_stores_its_suggestions(client: httpx.Client, project: int, released_scorer: Scorer) -> None:
    client.post(f"/api/projects/{project}/import", json=to_tasks([AD, AD.model_copy(update={"id": "ad-2"})], taxonomy=TAXONOMY))
    with backend(released_scorer) as url:
        answer = client.post("/api/ml/", json={"project": project, "url": url, "title": "Signaal"})
        assert answer.status_code == 201, answer.text
        assert client.get(f"/api/ml/{answer.json()['id']}").json()["state"] == "CO"
        action = {"id": "retrieve_tasks_predictions", "project": project}
        answer = client.post(
            "/api/dm/actions", params=action, json={"selectedItems": {"all": True, "excluded": []}, "project": str(project)}
        )
        assert answer.status_code == 200, answer.text
        predictions: list[dict[str, object]] = []
        for _ in range(60):
            tasks = client.get("/api/tasks", params={"project": project, "fields": "all"}).json()["tasks"]
            predictions = [p for task in tasks for p in client.get("/api/predictions/", params={"task": task["id"]}).json()]
            if len(predictions) == 2:
                break
            time.sleep(1)
    assert [p["model_version"] for p in predictions] == [model_name(released_scorer)] * 2
    for prediction in predictions:
        names = {result["from_name"] for result in prediction["result"]}  # type: ignore[attr-defined]
        assert names >= {"labels", "document_type"}
        for result in prediction["result"]:  # type: ignore[attr-defined]
            if result["type"] == "labels":
                value = result["value"]
                assert place_of(AD.text, value["start"], value["end"], value["text"]) is not None
