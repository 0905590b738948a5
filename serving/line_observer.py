"""What is noted of what goes through a line: stages, batches, scores and drift, for metrics and traces. Counts, never words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.profile import OTHER, TextFacts
from models.scores import AdScore
from serving.batching import Job, Row
from serving.drift import DriftWindow
from serving.metrics import Metrics
from serving.tracing import Tracing

if TYPE_CHECKING:
    from models.runtime import Scorer

DIGEST_CHARACTERS = 8


class LineObserver:
    """Told by one line what happens in it.

    Args:
        scorer: of the line.
        metrics: where figures go; its own, which nobody reads, when None.
        tracing: where spans go; nowhere when None.
    """

    def __init__(self, scorer: "Scorer", metrics: Metrics | None = None, tracing: Tracing | None = None) -> None:
        self._metrics, self._tracing = metrics or Metrics(), tracing or Tracing()
        self._unknown_id = scorer.runner.window_maker.unknown_id
        self.drift = DriftWindow(scorer.profile) if scorer.profile else None
        identity = scorer.identity
        self.model = f"{identity.version}@{identity.bundle_digest[:DIGEST_CHARACTERS]}"
        self._metrics.know(self.model)

    def batch_done(self, rows: Sequence[Row], seconds: float) -> None:
        """A batch has been through the graph, in so many seconds."""
        tokens = sum(map(len, rows))
        self._metrics.batch_seconds.observe(seconds)
        self._metrics.batch_rows.observe(len(rows))
        self._metrics.batch_tokens.observe(tokens)
        self._metrics.batch_padding.observe(1 - tokens / (len(rows) * max(map(len, rows))))

    def batch_failed(self) -> None:
        """The graph failed on a batch."""
        self._metrics.batch_failures.inc()

    def answered(self, job: Job, answers: Sequence[AdScore]) -> None:
        """A job has its answers; told before the caller gets them, in the thread that made them."""
        for stage, began, ended in job.stages():
            self._metrics.stage_seconds.labels(stage).observe(ended - began)
        for score in answers:
            self._count(score)
        if self.drift is not None:
            for score, facts in zip(answers, self._facts_of(job), strict=True):
                self.drift.add(score, facts)

    def left(self, job: Job) -> None:
        """A job is over, well or not; told in the caller's own context, where its request's span is."""
        self._tracing.stages(job, self.model)

    def _count(self, score: AdScore) -> None:
        language = score.language.code if score.language.evaluated else OTHER
        self._metrics.ads.labels(self.model, language).inc()
        for label, one in (score.indicators | score.counter_indicators).items():
            self._metrics.score.labels(self.model, label, language).observe(one.probability)
            self._metrics.decisions.labels(self.model, label, one.status.value).inc()

    def _facts_of(self, job: Job) -> list[TextFacts]:
        windows = job.windows_by_text()
        return [TextFacts.of(text, own, self._unknown_id) for text, own in zip(job.texts, windows, strict=True)]
