"""Reads what ``GET /metrics`` answers, with Prometheus' own parser."""

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Exposition:
    """All samples of one scrape."""

    def __init__(self, client: TestClient) -> None:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        self.text = answer.text
        self._samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(self.text):
            self._samples.setdefault(family.name, {})
            for sample in family.samples:
                series = self._samples.setdefault(sample.name, {})
                key = frozenset(sample.labels.items())
                assert key not in series, f"{sample.name} {sample.labels} is there twice"
                series[key] = sample.value

    @property
    def names(self) -> set[str]:
        return set(self._samples)

    def series(self, name: str) -> list[dict[str, str]]:
        """The labels of every series of a metric."""
        return [dict(labels) for labels in self._samples.get(name, {})]

    def value(self, name: str, **labels: str) -> float:
        """Sum of the series that have these labels, whatever else they have."""
        found = self._samples.get(name, {})
        return sum(value for key, value in found.items() if labels.items() <= dict(key).items())
