"""What a bundle makes of plain texts: scores from the graph that is served, counts, and embeddings of its encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.profile import TextFacts
from models.runtime import Scorer
from models.settings import ModelSettings
from training.drift.sample import STATUSES, Scored
from training.frozen import FrozenEncoder, mean_states
from training.progress import with_progress

AT_ONCE = 64


class BundleReader:
    """A bundle as a ``Reader``. The encoder itself is loaded when something is embedded.

    Raises:
        ModelError: the bundle or its base encoder cannot be had.
    """

    def __init__(self, bundle: Bundle, settings: ModelSettings) -> None:
        self._bundle, self._settings = bundle, settings
        self._scorer = Scorer.of_bundle(bundle, settings)
        self._encoder: FrozenEncoder | None = None
        self.digest = bundle.digest
        self.taxonomy = bundle.taxonomy

    def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> Scored:
        """Score texts, with a progress bar; a language that is not given is detected."""
        scores = []
        for start in with_progress(range(0, len(texts), AT_ONCE), "Scoring"):
            part = slice(start, start + AT_ONCE)
            scores += self._scorer.score(texts[part], languages[part], evidence=False)
        found = [score.indicators | score.counter_indicators for score in scores]
        return Scored(
            {label: np.array([one[label].probability for one in found]) for label in self.taxonomy.label_ids},
            {
                label: np.array([STATUSES.index(one[label].status) for one in found], dtype=np.int8)
                for label in self.taxonomy.label_ids
            },
            [score.language.code for score in scores],
            [score.document_type for score in scores],
        )

    def facts(self, texts: Sequence[str]) -> list[TextFacts]:
        """Counts of each text (as in the bundle's ``profile.json``)."""
        maker = self._scorer.runner.window_maker
        return [TextFacts.of(text, maker.windows([text]), maker.unknown_id) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """[texts, hidden], the mean of the fine-tuned encoder's token states."""
        self._encoder = self._encoder or FrozenEncoder.of_bundle(self._bundle, self._settings)
        return mean_states(self._encoder, texts)
