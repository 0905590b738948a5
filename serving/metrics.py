"""What Prometheus can ask: requests, stages, batches, scores. Every label is one of a few values that are known beforehand.

No text, id or address goes in; a caller cannot make a new series either. A registry belongs to one application, so that
several can live in one process.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from models.profile import BINS

# When a series was made says nothing here, and would be a third of the answer.
disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STAGE_SECONDS = (0.0005, 0.001, 0.0025, *SECONDS)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
PADDING = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
PROBABILITIES = tuple(step / BINS for step in range(1, BINS + 1))


class Metrics:
    """The counters and histograms of one application. Gauges, which are read off the models in service, are in ``FleetMetrics``.

    ``model`` is "VERSION@" and the first characters of the bundle's digest: versions alone need not differ.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("signaal_requests", "Requests answered.", ["route", "method", "status"], registry=registry)
        self.request_seconds = Histogram(
            "signaal_request_seconds", "Time to the end of the answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.rejected = Counter(
            "signaal_rejected",
            "Requests and lines of a stream that got a problem instead of scores, by the problem's type.",
            ["reason"],
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "signaal_stage_seconds",
            "Time of a request in a stage: read (normalise, tokenise), queue, graph, answer. Together its time in line.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "signaal_batch_seconds", "Time of a batch in the graph.", buckets=SECONDS, registry=registry
        )
        self.batch_rows = Histogram("signaal_batch_rows", "Windows in a batch.", buckets=ROWS, registry=registry)
        self.batch_tokens = Histogram(
            "signaal_batch_tokens", "Tokens in a batch, without padding.", buckets=TOKENS, registry=registry
        )
        self.batch_padding = Histogram(
            "signaal_batch_padding_ratio", "Share of a batch that is padding.", buckets=PADDING, registry=registry
        )
        self.batch_failures = Counter("signaal_batch_failures", "Batches on which the graph failed.", registry=registry)
        self.ads = Counter(
            "signaal_ads",
            "Ads scored, by language; 'other' where the model was not evaluated.",
            ["model", "language"],
            registry=registry,
        )
        self.score = Histogram(
            "signaal_score",
            "Calibrated probability of an indicator.",
            ["model", "indicator", "language"],
            buckets=PROBABILITIES,
            registry=registry,
        )
        self.decisions = Counter(
            "signaal_decisions",
            "Decisions by indicator: present, uncertain, absent.",
            ["model", "indicator", "status"],
            registry=registry,
        )
        self._models: set[str] = set()

    def know(self, model: str) -> None:
        """From now on there are series of this model."""
        self._models.add(model)

    def keep_only(self, models: set[str]) -> None:
        """Drop the series of models that are no longer in service: swaps must not fill the memory."""
        for gone in self._models - models:
            for metric in (self.ads, self.score, self.decisions):
                metric.remove_by_labels({"model": gone})
        self._models &= models
