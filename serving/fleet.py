"""Which model is in service: loaded in the background, tried on a probe text, and only then asked.

A model that takes another's place is loaded beside it, and no request is dropped: those that the old one took, it answers.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from models.errors import ModelError
from serving.answers import ModelOut
from serving.errors import LineStoppedError, NotReadyError
from serving.line import ScoringLine
from serving.line_observer import LineObserver
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from models.runtime import Scorer
    from models.scores import AdScore

log = logging.getLogger("signaal.serve")


class Fleet:
    """The scorer in service, behind its line.

    Args:
        open_scorer: makes the scorer; called in a thread, since it may fetch and build for minutes.
        settings: limits of the line.
        on_failure: called, in that thread, with the error when no scorer could be had.
        observe: makes the observer of a scorer's line.
    """

    def __init__(
        self,
        open_scorer: "Callable[[], Scorer]",
        settings: ServingSettings,
        on_failure: Callable[[Exception], None] | None = None,
        observe: "Callable[[Scorer], LineObserver]" = LineObserver,
    ) -> None:
        self._open, self._settings, self._on_failure, self._observe = open_scorer, settings, on_failure, observe
        self._line: ScoringLine | None = None
        self.has_failed = False

    def start(self) -> None:
        """Begin to load, and return at once."""
        # A daemon: Ctrl-C during a long download must end the process.
        threading.Thread(target=self._load, name="signaal-load", daemon=True).start()

    def stop(self) -> None:
        """Answer what waits, then end."""
        if self._line is not None:
            self._line.stop()

    @property
    def line(self) -> ScoringLine:
        """The line of the loaded scorer.

        Raises:
            NotReadyError: there is none (yet).
        """
        if self._line is not None:
            return self._line
        if self.has_failed:
            raise NotReadyError("The model could not be loaded; the service's log says why.")
        raise NotReadyError("The model is being loaded. Try again in a moment.")

    @property
    def lines(self) -> list[ScoringLine]:
        """The lines of all loaded scorers."""
        return [] if self._line is None else [self._line]

    @property
    def scorer(self) -> "Scorer":
        """The loaded scorer; raises as ``line``."""
        return self.line.scorer

    @property
    def model(self) -> ModelOut | None:
        """Identity of the loaded scorer; None while there is none."""
        return None if self._line is None else ModelOut.of(self._line.scorer.identity)

    async def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None = None,
        *,
        evidence: bool = True,
        patience: float | None = None,
    ) -> "tuple[ModelOut, list[AdScore]]":
        """Scores, and the model that gave them; arguments and errors as ``ScoringLine.score``."""
        while True:
            line = self.line
            try:
                scores = await line.score(texts, languages, labels, evidence=evidence, patience=patience)
            except LineStoppedError:
                if line is self._line:
                    raise
                continue  # another took its place in this moment
            return ModelOut.of(line.scorer.identity), scores

    def _load(self) -> None:
        try:
            scorer = self._open()
            limits = self._settings.max_waiting_ads, self._settings.max_wait_seconds
            line = ScoringLine(scorer, *limits, self._observe(scorer))
        except Exception as error:
            self.has_failed = True
            if isinstance(error, ModelError):
                log.error("No model: %s", error)
            else:
                log.exception("No model: an unforeseen error while loading it.")
            if self._on_failure:
                self._on_failure(error)
            return
        self._line = line
        log.info("Model %s %s is ready.", scorer.identity.name, scorer.identity.version)
