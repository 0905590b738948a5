"""The scorer: ads in; probabilities, decisions and evidence out. ONNX Runtime only, no torch in the way.

One pass of one graph gives everything. Texts are read into windows (``models.windows``), windows of like length share a
batch, and what the windows of one text say is put together again: a label's logit is its maximum over the windows.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from models.bundle import PROFILE, Bundle, reads_blinded, verified_base
from models.calibration import Calibration
from models.errors import BundleError
from models.evidence import evidence_spans
from models.graph_sessions import Device, GraphSessions
from models.language import UNKNOWN, detect_language
from models.onnx_graph import Precision, cached_graph
from models.profile import Profile
from models.scores import AdScore, LabelScore, Language, ModelIdentity, Status
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.windows import Window, WindowMaker, batches, padded

TOKEN_BUDGET = 512
"""Tokens of one batch, padding included; a window longer than that is a batch of its own. With more, what a core works on no
longer fits into its cache (docs/serving.md, Speed)."""
GPU_TOKEN_BUDGET = 16_384

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowScore:
    """What the graph says of one window: ``logits`` [labels], ``evidence`` [tokens, labels], ``document_type_logits``
    [document types]."""

    logits: Floats
    evidence: Floats
    document_type_logits: Floats


@dataclass(frozen=True, slots=True)
class RawScore:
    """What the graph says of one text: ``logits`` [labels], ``document_type_logits`` [document types], and for each window
    the evidence [tokens, labels]."""

    logits: Floats
    document_type_logits: Floats
    windows: list[Window]
    evidence: list[Floats]

    @classmethod
    def of(cls, windows: list[Window], scores: Sequence[WindowScore]) -> "RawScore":
        """What the windows of one text say together."""
        lengths = np.array([len(window) for window in windows], dtype=np.float32)
        kinds = np.average([score.document_type_logits for score in scores], axis=0, weights=lengths)
        logits = np.max([score.logits for score in scores], axis=0)
        return cls(logits, kinds, windows, [score.evidence for score in scores])


class GraphRunner:
    """A graph with its tokenizer: texts to raw scores. Thread-safe.

    ``run`` does all of it. Who puts batches together from several callers takes the steps apart: ``window_maker`` reads,
    ``forward`` runs a batch, ``RawScore.of`` puts a text's windows together.
    """

    def __init__(
        self,
        graph: Path,
        tokenizer_file: Path,
        *,
        precision: Precision,
        threads: int = 0,
        blind: bool = True,
        device: Device = "cpu",
    ) -> None:
        self._sessions = GraphSessions(graph, precision=precision, threads=threads, device=device)
        self.callers = self._sessions.callers
        """How many threads may well call ``forward`` at a time."""
        self.window_maker = WindowMaker(tokenizer_file, blind=blind)
        self.token_budget = GPU_TOKEN_BUDGET if self._sessions.on_gpu else TOKEN_BUDGET

    def forward(self, windows: Sequence[Window]) -> list[WindowScore]:
        """One batch through the graph, as it is; the caller keeps to ``token_budget``."""
        ids, mask = padded(windows, self.window_maker.pad_id)
        logits, evidence, kinds = self._sessions.run(ids, mask)
        return [WindowScore(logits[i], evidence[i, : len(window)], kinds[i]) for i, window in enumerate(windows)]

    def run(self, texts: Sequence[str]) -> list[RawScore]:
        """Raw scores of texts, in order; which texts are sent together does not matter."""
        windows = self.window_maker.windows(texts)
        scores = self.score_windows(windows)
        of_text: list[list[int]] = [[] for _ in texts]
        for index, window in enumerate(windows):
            of_text[window.text_index].append(index)
        return [RawScore.of([windows[i] for i in places], [scores[i] for i in places]) for places in of_text]

    def score_windows(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Windows of any number, in order, in batches of like length."""
        filled = list(batches(windows, self.token_budget))
        scores: dict[int, WindowScore] = {}
        for batch, answers in zip(filled, self.forward_all([[windows[i] for i in batch] for batch in filled]), strict=True):
            scores.update(zip(batch, answers, strict=True))
        return [scores[i] for i in range(len(windows))]

    def forward_all(self, filled: Sequence[Sequence[Window]]) -> Iterator[list[WindowScore]]:
        """Batches through the graph, as many side by side as it takes; what they say, in their order."""
        if len(filled) < 2 or self.callers == 1:
            yield from map(self.forward, filled)
            return
        with ThreadPoolExecutor(self.callers) as pool:
            yield from pool.map(self.forward, filled)


def keep_to(cores: set[int]) -> None:
    """Let all threads of this process run on these cores only; threads that begin later keep to them too.

    Raises:
        BundleError: the machine lacks one of them, or the system cannot do it.
    """
    try:
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
        kept = os.sched_getaffinity(0)
    except (AttributeError, OSError):
        kept = set()
    if kept != cores:
        raise BundleError(f"SIGNAAL_CPUS: this process cannot be kept to the cores {sorted(cores)} here.")


class Scorer:
    """A calibrated model, ready to score."""

    def __init__(
        self,
        runner: GraphRunner,
        taxonomy: Taxonomy,
        calibration: Calibration,
        identity: ModelIdentity,
        *,
        metrics: dict[str, Any] | None = None,
        card: str = "",
        profile: Profile | None = None,
    ) -> None:
        self.runner = runner
        self.taxonomy = taxonomy
        self.calibration = calibration
        self.identity = identity
        self.metrics = metrics or {}
        self.card = card
        self.profile = profile

    @classmethod
    def of_bundle(cls, bundle: Bundle, settings: ModelSettings) -> "Scorer":
        """Load a bundle; builds and caches its ONNX graph the first time.

        Raises:
            BundleError: the bundle and its base encoder or taxonomy do not fit.
            BaseEncoderError: the base encoder cannot be had.
        """
        labels = {"calibration.json": set(bundle.calibration.labels)}
        if bundle.profile is not None:
            labels[PROFILE] = set(bundle.profile.scores)
        for name, there in labels.items():
            if missing := set(bundle.taxonomy.label_ids) - there:
                raise BundleError(f"{bundle.folder / name} lacks {', '.join(sorted(missing))}.")
        graph = cached_graph(bundle, settings.cache_dir, settings.precision)
        tokenizer = verified_base(bundle.manifest.base, settings.cache_dir) / "tokenizer.json"
        if cores := settings.cores():
            keep_to(cores)
        runner = GraphRunner(
            graph,
            tokenizer,
            precision=settings.precision,
            threads=settings.threads or len(cores),
            blind=reads_blinded(bundle.manifest.format),
            device=settings.device,
        )
        return cls(
            runner,
            bundle.taxonomy,
            bundle.calibration,
            bundle.identity,
            metrics=bundle.metrics,
            card=bundle.card,
            profile=bundle.profile,
        )

    @property
    def thresholds(self) -> dict[str, tuple[float, float]]:
        """Per label: ``absent`` below the first, ``present`` from the second, on calibrated probabilities."""
        return {label: (c.absent_below, c.present_from) for label, c in self.calibration.labels.items()}

    @property
    def evaluated_languages(self) -> tuple[str, ...]:
        """Languages for which the bundle's metrics hold figures on unseen texts."""
        return tuple(sorted(self.metrics.get("languages", {})))

    def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None] | None = None,
        *,
        labels: Collection[str] | None = None,
        evidence: bool = True,
    ) -> list[AdScore]:
        """Score texts, in order.

        Args:
            texts: ads or posts, as they are; normalisation is done here.
            languages: a caller's hint per text (ISO 639-1), or None to detect.
            labels: the labels asked for; all when None.
            evidence: whether to give evidence spans.
        """
        hints = languages or [None] * len(texts)
        raw = self.runner.run(texts)
        return [
            self.answer(text, score, hint, labels=labels, evidence=evidence)
            for text, score, hint in zip(texts, raw, hints, strict=True)
        ]

    def answer(
        self,
        text: str,
        raw: RawScore,
        language: str | None = None,
        *,
        labels: Collection[str] | None = None,
        evidence: bool = True,
    ) -> AdScore:
        """From what the graph says of a text to what is said of the ad; arguments as in ``score``."""
        wanted = [label for label in self.taxonomy.label_ids if labels is None or label in labels]
        scores = {label: self._label_score(text, raw, label, evidence) for label in wanted}
        kinds = softmax(raw.document_type_logits / self.calibration.document_type_temperature)
        best = int(np.argmax(kinds))
        return AdScore(
            language=self._language(text, language),
            document_type=self.taxonomy.document_type_ids[best],
            document_type_probability=float(kinds[best]),
            indicators={label: scores[label] for label in self.taxonomy.indicator_ids if label in scores},
            counter_indicators={label: scores[label] for label in self.taxonomy.counter_indicator_ids if label in scores},
        )

    def _label_score(self, text: str, raw: RawScore, label: str, evidence: bool) -> LabelScore:
        column = self.taxonomy.label_ids.index(label)
        calibration = self.calibration.labels[label]
        probability = calibration.probability(float(raw.logits[column]))
        status = calibration.status(probability)
        if not evidence or status is Status.ABSENT:
            return LabelScore(probability, status)
        values = [window_evidence[:, column] for window_evidence in raw.evidence]
        return LabelScore(probability, status, evidence_spans(text, raw.windows, values, self.calibration.evidence_threshold))

    def _language(self, text: str, hint: str | None) -> Language:
        code, confidence = (hint, 1.0) if hint else detect_language(text)
        return Language(code, confidence, code != UNKNOWN and code in self.evaluated_languages)
