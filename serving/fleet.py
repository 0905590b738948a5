"""Which models are in service: loaded in the background, tried on a probe text, and only then asked.

A model has an alias (``champion`` answers whoever does not name one). When the registry moves an alias, the new model is loaded
beside the old one, takes its place between two requests, and none is dropped: what the old one took, it answers. The old one
stays for a while, for callers who pin a version, and so that a rollback needs no loading.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.registry import CHAMPION
from serving.answers import ModelOut, ServedOut
from serving.errors import LineStoppedError, NotReadyError, UnknownModelError
from serving.line import ScoringLine
from serving.line_observer import LineObserver
from serving.settings import ServingSettings
from serving.shadow import Shadow

if TYPE_CHECKING:
    from models.runtime import Scorer
    from models.scores import AdScore

log = logging.getLogger("signaal.serve")

CHALLENGER = "challenger"
SHORTEST_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Source:
    """Where models come from: the place of the model that an alias names now (None: of no model), and how it is opened."""

    where: Callable[[str], str | None]
    open_at: "Callable[[str], Scorer]"


@dataclass(eq=False, slots=True)
class Served:
    """A model in service, behind its line."""

    place: str
    line: ScoringLine
    since: float
    """Seconds since the epoch."""
    retired: float | None = None
    """When it lost its last alias; seconds since the epoch."""

    @property
    def scorer(self) -> "Scorer":
        return self.line.scorer

    @property
    def model(self) -> ModelOut:
        return ModelOut.of(self.scorer.identity)

    def answers_to(self, name: str) -> bool:
        """Whether ``name`` is its version, or the beginning of its bundle's digest."""
        identity = self.scorer.identity
        return name == identity.version or (len(name) >= SHORTEST_DIGEST and identity.bundle_digest.startswith(name))


class Fleet:
    """The models in service.

    Args:
        source: asked in a thread, since it may fetch and build for minutes.
        settings: aliases, times, limits of the lines.
        on_failure: called, in that thread, with the error when no champion could be had at the start.
        observe: makes the observer of a scorer's line.
    """

    def __init__(
        self,
        source: Source,
        settings: ServingSettings,
        on_failure: Callable[[Exception], None] | None = None,
        observe: "Callable[[Scorer], LineObserver]" = LineObserver,
    ) -> None:
        self._source, self._settings, self._on_failure, self._observe = source, settings, on_failure, observe
        self._by_alias: dict[str, Served] = {}
        self._retired: list[Served] = []
        self._complaints: dict[str, str] = {}
        self._has_looked = False
        """Whether the registry was asked for every alias."""
        self._told: list[str] = []
        self.has_failed = False
        self._stopping = threading.Event()
        self.shadow = Shadow(settings.shadow_share)

    def start(self) -> None:
        """Begin to load, and return at once."""
        # A daemon: Ctrl-C during a long download must end the process.
        threading.Thread(target=self._watch, name="signaal-models", daemon=True).start()

    def stop(self) -> None:
        """Answer what waits, then end."""
        self._stopping.set()
        for served in {*self._by_alias.values(), *self._retired}:
            served.line.stop()

    @property
    def lines(self) -> list[ScoringLine]:
        """The lines of all models in service, retired ones too."""
        return [served.line for served in dict.fromkeys((*self._by_alias.values(), *self._retired))]

    @property
    def model(self) -> ModelOut | None:
        """Identity of the champion; None while there is none."""
        champion = self._by_alias.get(CHAMPION)
        return champion.model if champion else None

    @property
    def scorer(self) -> "Scorer":
        """The champion's scorer; raises as ``pick``."""
        return self.pick().scorer

    def pick(self, name: str | None = None) -> Served:
        """The model that a caller means: an alias, a version, or the first characters of a bundle digest; the champion when None.

        Raises:
            NotReadyError: no model is loaded (yet).
            UnknownModelError: no model of that name is in service.
        """
        by_alias = self._by_alias
        if CHAMPION not in by_alias:
            if self.has_failed:
                raise NotReadyError("The model could not be loaded; the service's log says why.")
            raise NotReadyError("The model is being loaded. Try again in a moment.")
        if name is None or name in by_alias:
            return by_alias[name or CHAMPION]
        for served in (*by_alias.values(), *self._retired):
            if served.answers_to(name):
                return served
        there = ", ".join(sorted({*by_alias, *(s.scorer.identity.version for s in (*by_alias.values(), *self._retired))}))
        raise UnknownModelError(f"No such model is in service; there are: {there}. GET /v1/models tells more.")

    @property
    def pair(self) -> tuple[Served, Served] | None:
        """Champion and challenger, for shadow scoring; None when there are no two that differ."""
        champion, challenger = self._by_alias.get(CHAMPION), self._by_alias.get(CHALLENGER)
        if champion is None or challenger is None or champion.model.bundle_digest == challenger.model.bundle_digest:
            return None
        return champion, challenger

    @property
    def notes(self) -> list[str]:
        """What the settings ask for and is not so, although scoring works; nothing before the first look at every alias."""
        failed = list(self._complaints)  # at once: another thread may be adding one
        return [*(f"The model of {alias} could not be loaded; the service's log says why." for alias in failed), *self._unmet()]

    def _unmet(self) -> list[str]:
        if not self._has_looked:
            return []
        aliases, by_alias = self._settings.models.split(","), self._by_alias
        missing = [alias for alias in aliases if alias not in by_alias and alias not in self._complaints]
        unmet = [f"No model is called {alias}, which SIGNAAL_SERVE_MODELS names." for alias in missing]
        if CHALLENGER in by_alias and self.pair is None:
            unmet.append("The challenger is the same model as the champion, so there is nothing to compare.")
        if self.shadow.share > 0 and CHALLENGER not in aliases:
            unmet.append("SIGNAAL_SERVE_SHADOW_SHARE is set, but SIGNAAL_SERVE_MODELS names no challenger: nothing is compared.")
        return unmet

    def notices(self, served: Served) -> dict[str, str]:
        """Headers for callers who are answered by a retired model: ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594)."""
        if served.retired is None:
            return {}
        sunset = served.retired + self._settings.keep_retired_seconds
        return {"Deprecation": f"@{int(served.retired)}", "Sunset": formatdate(sunset, usegmt=True)}

    def in_service(self) -> list[ServedOut]:
        """All models in service, those with an alias first."""
        aliases: dict[Served, list[str]] = {served: [] for served in self._by_alias.values()}
        for alias, served in self._by_alias.items():
            aliases[served].append(alias)
        return [
            ServedOut.of(served.model, aliases.get(served, []), served.since, served.retired, self._settings.keep_retired_seconds)
            for served in (*aliases, *self._retired)
        ]

    async def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None = None,
        *,
        evidence: bool = True,
        patience: float | None = None,
        model: str | None = None,
    ) -> "tuple[ModelOut, list[AdScore]]":
        """Scores, and the model that gave them; ``model`` as in ``pick``, all else as in ``ScoringLine.score``."""
        while True:
            served = self.pick(model)
            try:
                scores = await served.line.score(texts, languages, labels, evidence=evidence, patience=patience)
            except LineStoppedError:
                if self._stopping.is_set():
                    raise
                continue  # another took its place in this moment
            if (pair := self.pair) is not None and served is pair[0]:
                self.shadow.consider(pair[1].line, texts, languages, labels, scores)
            return served.model, scores

    def _watch(self) -> None:
        while True:
            for alias in self._settings.models.split(","):
                self._look(alias)
            if self.has_failed:
                return
            self._dismiss()
            self._has_looked = True
            self._tell()
            if self._stopping.wait(self._settings.models_poll_seconds):
                return

    def _look(self, alias: str) -> None:
        """Put the model that an alias names now into service."""
        try:
            place = self._source.where(alias)
            now = self._by_alias.get(alias)
            if place != (now.place if now else None):
                self._swap(alias, None if place is None else self._served_at(place))
            self._complaints.pop(alias, None)
        except Exception as error:
            self._complain(alias, error)

    def _served_at(self, place: str) -> Served:
        """The model at a place: one that is in service already, or a new one."""
        for served in (*self._by_alias.values(), *self._retired):
            if served.place == place:
                return served
        scorer = self._source.open_at(place)
        limits = self._settings.max_waiting_ads, self._settings.max_wait_seconds
        line = ScoringLine(scorer, *limits, self._observe(scorer), self._settings.stuck_seconds)
        return Served(place, line, time.time())

    def _swap(self, alias: str, new: Served | None) -> None:
        old = self._by_alias.get(alias)
        others = {name: served for name, served in self._by_alias.items() if name != alias}
        self._by_alias = {**others, alias: new} if new else others
        if new:
            new.retired = None
            self._retired = [served for served in self._retired if served is not new]
            log.info("Model %s %s is ready as %s.", new.model.name, new.model.version, alias)
        if old and old not in self._by_alias.values():
            old.retired = time.time()
            self._retired = [*self._retired, old]
            log.info("Model %s %s is retired.", old.model.name, old.model.version)
        self.shadow.restart()

    def _dismiss(self) -> None:
        """Let go of models that have been retired for long enough, and of the oldest beyond the number that is kept. They take
        nothing more, and what they took is answered."""
        over = time.time() - self._settings.keep_retired_seconds
        too_many = len(self._retired) - self._settings.keep_retired_models
        for number, served in enumerate(self._retired):  # in the order in which they were retired
            if number < too_many or (served.retired is not None and served.retired <= over):
                self._retired = [other for other in self._retired if other is not served]
                served.line.stop()

    def _tell(self) -> None:
        """Log what is not as it was asked for, once while it lasts."""
        unmet = self._unmet()
        for note in unmet:
            if note not in self._told:
                log.warning("%s", note)
        self._told = unmet

    def _complain(self, alias: str, error: Exception) -> None:
        """Say once what is wrong; what is in service stays."""
        if self._complaints.get(alias) != str(error):
            if isinstance(error, ModelError):
                log.error("No new %s: %s", alias, error)
            else:
                log.exception("No new %s: an unforeseen error while loading it.", alias)
        self._complaints[alias] = str(error)
        if alias == CHAMPION and CHAMPION not in self._by_alias:
            self.has_failed = True
            if self._on_failure:
                self._on_failure(error)
