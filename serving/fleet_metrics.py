"""Figures that are read off the models in service when Prometheus asks: state, queue, drift, shadow scoring."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.drift import Drift
from serving.errors import NotReadyError
from serving.line import ScoringLine
from serving.line_observer import DIGEST_CHARACTERS
from serving.metrics import Metrics
from serving.readiness import is_broken

if TYPE_CHECKING:
    from threading import Event

    from models.profile import Profile
    from serving.fleet import Fleet

STATES = ("loading", "ready", "broken", "failed", "stopping")


class FleetMetrics(Collector):
    """Reads the figures of a fleet; also lets the series go of models that are no longer in it."""

    def __init__(self, fleet: "Fleet", stopping: "Event", metrics: Metrics) -> None:
        self._fleet, self._stopping, self._metrics = fleet, stopping, metrics

    def describe(self) -> list[Metric]:
        """None, so that registering asks for nothing: before the first model there is little to tell."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures, as they are now."""
        lines = self._fleet.lines
        self._metrics.keep_only({line.observer.model for line in lines})
        yield self._state()
        yield _gauge("signaal_queue_ads", "Ads taken and not answered.", sum(line.waiting_ads for line in lines))
        yield _gauge("signaal_queue_tokens", "Tokens that wait for the graph.", sum(line.waiting_tokens for line in lines))
        wait = max((line.expected_wait for line in lines), default=0)
        yield _gauge("signaal_expected_wait_seconds", "Time until what waits is through the graph, as estimated.", wait)
        # Two versions in the registry may be one bundle; no series may be there twice.
        models = list({line.observer.model: line for line in reversed(lines)}.values())
        yield _models(models)
        yield _profiles(models)
        yield from _drifts(models)
        yield from _shadow(self._fleet)

    def _state(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("signaal_state", "1 for the state that the service is in.", labels=["state"])
        now = self._now()
        for state in STATES:
            family.add_metric([state], state == now)
        return family

    def _now(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        try:
            champion = self._fleet.pick()
        except NotReadyError:
            return "failed" if self._fleet.has_failed else "loading"
        return "broken" if is_broken(champion.line) else "ready"


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value)


def _models(lines: list[ScoringLine]) -> GaugeMetricFamily:
    labels = ["model", "name", "version", "digest", "taxonomy_version"]
    family = GaugeMetricFamily("signaal_model_info", "Models in service; always 1.", labels=labels)
    for line in lines:
        one = line.scorer.identity
        digest = one.bundle_digest[:DIGEST_CHARACTERS]
        family.add_metric([line.observer.model, one.name, one.version, digest, one.taxonomy_version], 1)
    return family


def _profiles(lines: list[ScoringLine]) -> GaugeMetricFamily:
    says = "Whether the bundle has a reference profile; 0: there are no figures of drift."
    family = GaugeMetricFamily("signaal_profile_loaded", says, labels=["model"])
    for line in lines:
        family.add_metric([line.observer.model], line.observer.drift is not None)
    return family


def _drifts(lines: list[ScoringLine]) -> Iterator[GaugeMetricFamily]:
    with_source = ["model", "source"]
    ads = GaugeMetricFamily("signaal_drift_ads", "Ads that the figures of drift are of.", labels=["model"])
    psi = GaugeMetricFamily(
        "signaal_drift_psi", "Population stability index of an indicator's scores.", labels=["model", "indicator"]
    )
    unknown = GaugeMetricFamily("signaal_unknown_token_rate", "Share of tokens that are unknown.", labels=with_source)
    emoji = GaugeMetricFamily("signaal_emoji_rate", "Share of characters that are emoji.", labels=with_source)
    length = GaugeMetricFamily("signaal_mean_characters", "Mean length of an ad.", labels=with_source)
    languages = GaugeMetricFamily("signaal_language_share", "Share of a language.", labels=[*with_source, "language"])
    for line in lines:
        if (window := line.observer.drift) is None:
            continue
        model, drift = line.observer.model, window.drift()
        ads.add_metric([model], drift.ads)
        for indicator, value in drift.psi.items():
            psi.add_metric([model, indicator], value)
        figures: dict[str, Drift | Profile] = {"reference": window.profile}
        if drift.ads:
            figures["window"] = drift
        for source, one in figures.items():
            unknown.add_metric([model, source], one.unknown_token_rate)
            emoji.add_metric([model, source], one.emoji_rate)
            length.add_metric([model, source], one.mean_characters)
            for code, share in one.languages.items():
                languages.add_metric([model, source, code], share)
    yield from (ads, psi, unknown, emoji, length, languages)


def _shadow(fleet: "Fleet") -> Iterator[Metric]:
    """They begin anew when champion or challenger changes, and are not there while there are no two to compare."""
    yield _gauge(
        "signaal_shadow_share", "Share of the champion's requests that the challenger is to read, too.", fleet.shadow.share
    )
    if (pair := fleet.pair) is None:
        return
    found, of_pair = fleet.shadow.found, [served.line.observer.model for served in pair]
    names = ["champion", "challenger"]
    ads = CounterMetricFamily("signaal_shadow_ads", "Ads that both have scored.", labels=names)
    left_out = CounterMetricFamily(
        "signaal_shadow_left_out",
        "Ads that were drawn and that the challenger did not score: it was busy, or failed.",
        labels=names,
    )
    ads.add_metric(of_pair, found.ads)
    left_out.add_metric(of_pair, found.left_out)
    names = [*names, "indicator"]
    compared = CounterMetricFamily("signaal_shadow_compared", "Ads in which both have scored an indicator.", labels=names)
    shift = CounterMetricFamily("signaal_shadow_shift", "Sum of the absolute differences of probabilities.", labels=names)
    changes = CounterMetricFamily("signaal_shadow_changes", "Ads with another status.", labels=[*names, "change"])
    for label, one in list(found.differences.items()):  # a copy: requests go on meanwhile
        compared.add_metric([*of_pair, label], one.ads)
        shift.add_metric([*of_pair, label], one.sum_of_shifts)
        changed = {"newly_present": one.newly_present, "no_longer_present": one.no_longer_present}
        for change, count in {**changed, "other": one.other_status - sum(changed.values())}.items():
            changes.add_metric([*of_pair, label, change], count)
    yield from (ads, left_out, compared, shift, changes)
