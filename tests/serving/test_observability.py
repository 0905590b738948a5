"""The dashboard and the alert rules ask only for what ``/metrics`` answers."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.app import create_app
from serving.fleet import Source
from serving.settings import ServingSettings
from tests.serving.conftest import wait_until_ready
from tests.serving.exposition import Exposition

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "serving" / "observability"
METRIC = re.compile(r"\b(?:signaal|process)_[a-z_]+\b")
SELECTOR = re.compile(r"\b((?:signaal|process)_[a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!=|!~|=)")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job"}


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    variables = [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])] + variables


def rules() -> list[dict[str, str]]:
    document = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def live(eager_scorer: Scorer, scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Exposition:
    """The metrics of an application that has done a bit of everything."""
    e = eager_scorer
    profiled = Scorer(e.runner, e.taxonomy, e.calibration, e.identity, metrics=e.metrics, profile=scorer.profile)
    other = Scorer(e.runner, e.taxonomy, e.calibration, replace(e.identity, bundle_digest="f" * 64), metrics=e.metrics)
    source = Source({"champion": "one", "challenger": "other"}.get, {"one": profiled, "other": other}.__getitem__)
    feedback = tmp_path_factory.mktemp("live") / "feedback"
    settings = ServingSettings(feedback_dir=feedback, models="champion,challenger", shadow_share=1)
    with TestClient(create_app(source, settings)) as client:
        wait_until_ready(client)
        client.post("/v1/score", json={"ads": [{"id": "a", "text": "Je paspoort blijft hier."}]})
        client.post("/v1/score", json={"ads": []})
        found = {"items": [{"id": "a", "labels": {"debt_or_fees": "present"}}]}
        client.post("/v1/feedback", json=found, headers={"Idempotency-Key": "1"})
        for _ in range(600):
            if client.get("/v1/models").json()["shadow"]["ads"]:
                break
            client.post("/v1/score", json={"ads": [{"id": "a", "text": "Je paspoort blijft hier."}]})
            time.sleep(0.05)
        return Exposition(client)


@pytest.mark.parametrize("file", ["dashboard", "alerts"])
def test_every_metric_exists_with_the_labels_that_are_asked_for(live: Exposition, file: str) -> None:
    expressions = dashboard_expressions() if file == "dashboard" else [rule["expr"] for rule in rules()]
    named = {name for expression in expressions for name in METRIC.findall(expression)}
    assert len(named) > 10
    for name in named:
        assert live.series(name), f"{name} is not in /metrics"
    for expression in expressions:
        labels_there = {label for name in METRIC.findall(expression) for one in live.series(name) for label in one}
        for name, selectors in SELECTOR.findall(expression):
            there = set(live.series(name)[0]) | OF_PROMETHEUS
            assert set(LABEL.findall(selectors)) <= there, expression
        for group in GROUPING.findall(expression):
            assert {label.strip() for label in group.split(",")} <= labels_there | OF_PROMETHEUS, expression


def test_every_metric_of_ours_is_on_the_dashboard(live: Exposition) -> None:
    """So that none is there which nobody looks at."""
    shown = " ".join(dashboard_expressions())
    ours = {re.sub(r"_(total|sum|count|bucket)$", "", name) for name in live.names if name.startswith("signaal_")}
    assert [name for name in sorted(ours) if name not in shown] == []


def test_every_metric_is_described_in_the_documentation(live: Exposition) -> None:
    document = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    ours = {re.sub(r"_(sum|count|bucket)$", "", name) for name in live.names if name.startswith("signaal_")}
    listed = set(re.findall(r"`(signaal_\w+)`", document))
    totals = {name for name in ours if name.endswith("_total")}
    assert {name for name in ours if f"{name}_total" not in totals} == listed


def test_rules_and_panels_are_complete() -> None:
    for rule in rules():
        assert set(rule) >= {"alert", "expr", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
