"""What a graph said of a text once, kept, so that a second comparison need not ask again.

One file a graph (weights, precision, and how graphs are written) in ``cache_dir/scores``. An entry's key is the SHA-256 of a
window's token ids: what the graph is really given. So entries stay right whatever else changes (data, calibration, how texts are
normalised), bundles that differ in calibration alone share them, and no text is kept.
"""

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.onnx_graph import Precision, graph_path
from models.runtime import GraphRunner, RawScore, WindowScore
from models.windows import Window


def scores_path(weights: str, cache_dir: Path, precision: Precision) -> Path:
    """Where the scores of the graph of these weights are kept."""
    return cache_dir / "scores" / graph_path(weights, cache_dir, precision).with_suffix(".npz").name


class CachedRunner(GraphRunner):
    """A runner that asks another one only for windows it has not seen; ``save`` keeps what it has."""

    def __init__(self, runner: GraphRunner, path: Path) -> None:
        self._runner = runner
        self._path = path
        self._scores = _load(path)
        self._saved = len(self._scores)
        self._of_text: dict[str, RawScore] = {}
        self.window_maker = runner.window_maker

    def score_windows(self, windows: Sequence[Window]) -> list[WindowScore]:
        """As ``GraphRunner.score_windows``. All that is new goes to the other runner at once: in whose company a window is
        scored, and so its last digits, follow from what was asked, not from which of several batches comes first."""
        keys = [_key(window) for window in windows]
        new = {key: window for key, window in zip(keys, windows, strict=True) if key not in self._scores}
        self._scores.update(zip(new, self._runner.score_windows(list(new.values())), strict=True))
        return [self._scores[key] for key in keys]

    def run(self, texts: Sequence[str]) -> list[RawScore]:
        """As ``GraphRunner.run``. A text that was asked before is not even read again: reading costs milliseconds, too."""
        new = [text for text in dict.fromkeys(texts) if text not in self._of_text]
        self._of_text.update(zip(new, super().run(new), strict=True))
        return [self._of_text[text] for text in texts]

    def save(self) -> None:
        """Write the file anew if there is anything new; whoever reads it meanwhile sees the old one."""
        if len(self._scores) == self._saved:
            return
        scores = list(self._scores.values())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._path.parent, suffix=".part", delete=False) as part:
            np.savez(
                part,
                keys=np.frombuffer(b"".join(self._scores), dtype=np.uint8).reshape(-1, 32),
                lengths=np.array([len(score.evidence) for score in scores]),
                logits=np.stack([score.logits for score in scores]),
                document_type_logits=np.stack([score.document_type_logits for score in scores]),
                evidence=np.concatenate([score.evidence for score in scores]),
            )
        Path(part.name).replace(self._path)
        self._saved = len(scores)


def _key(window: Window) -> bytes:
    return hashlib.sha256(np.array(window.ids, dtype=np.int64).tobytes()).digest()


def _load(path: Path) -> dict[bytes, WindowScore]:
    """What is kept; nothing when there is no file or it is broken (it is only a cache)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            keys, lengths, logits, kinds, evidence = (
                file[name] for name in ("keys", "lengths", "logits", "document_type_logits", "evidence")
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    ends = np.cumsum(lengths)
    return {
        key.tobytes(): WindowScore(logits[i], evidence[ends[i] - lengths[i] : ends[i]], kinds[i]) for i, key in enumerate(keys)
    }
