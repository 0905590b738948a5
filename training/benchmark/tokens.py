"""The tokens of a whole split, in one flat array: 100,000 texts of 60 tokens are 24 MB.

Texts are read as everywhere (``models.windows``) but not blinded, and what goes beyond a number of tokens is cut off, as the
literature does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.losses import FREE
from models.windows import Window, WindowMaker
from training.benchmark.records import BenchmarkExample
from training.benchmark.settings import MANY_LONG, MOST_TOKENS, USUAL_TOKENS, BenchmarkSettings
from training.benchmark.task import Task
from training.progress import with_progress

CHUNK = 500
LOOKED_AT = 1_000
"""Training texts, of which the share of long ones is taken."""
OVERLAP_SHARE = 4


@dataclass(frozen=True)
class TokenisedSplit:
    """Tokens, labels and spans of a split, by text."""

    ids: NDArray[np.int32]
    """[tokens of all texts]"""
    ends: NDArray[np.int64]
    """[texts], where each text's tokens end"""
    truth: NDArray[np.bool_]
    """[texts, labels]"""
    spans: list[list[tuple[int, int, int]]]
    """a text's (label, first token, end token)"""
    cut_off: int
    """texts that were longer"""
    pad_id: int

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[texts], in tokens"""
        return np.diff(self.ends, prepend=0)

    def batch(self, rows: Sequence[int], *, evidence: bool = False) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` [rows, longest], ``labels`` [rows, labels]; and ``evidence_targets`` [rows,
        longest, labels] as ``SignaalModel.forward`` wants them."""
        longest = int(self.lengths[rows].max())
        ids = torch.full((len(rows), longest), self.pad_id)
        mask = torch.zeros((len(rows), longest), dtype=torch.int64)
        for place, row in enumerate(rows):
            tokens = self.ids[(self.ends[row - 1] if row else 0) : self.ends[row]]
            ids[place, : len(tokens)] = torch.from_numpy(tokens.astype(np.int64))
            mask[place, : len(tokens)] = 1
        labels = torch.from_numpy(self.truth[rows].astype(np.float32))
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if evidence:
            batch["evidence_targets"] = self._evidence(rows, longest)
        return batch

    def _evidence(self, rows: Sequence[int], longest: int) -> Tensor:
        targets = torch.full((len(rows), longest, self.truth.shape[1]), FREE)
        for place, row in enumerate(rows):
            inner = slice(1, int(self.lengths[row]) - 1)  # special tokens are never evidence, nor its opposite
            marked = {label for label, _, _ in self.spans[row]}
            free = [label for label in np.flatnonzero(self.truth[row]).tolist() if label not in marked]
            targets[place, inner] = 0.0
            targets[place, :, free] = FREE
            for label, first, end in self.spans[row]:
                targets[place, first:end, label] = 1.0
        return targets


def window_maker(base_folder: Path, max_tokens: int) -> WindowMaker:
    """How a benchmark reads texts."""
    return WindowMaker(base_folder / "tokenizer.json", blind=False, max_tokens=max_tokens, overlap=max_tokens // OVERLAP_SHARE)


def tokenise(examples: Sequence[BenchmarkExample], task: Task, maker: WindowMaker, name: str) -> TokenisedSplit:
    """Tokenise a split, some hundred texts at a time, with a progress bar."""
    column = {label: i for i, label in enumerate(task.labels)}
    pieces: list[NDArray[np.int32]] = []
    spans: list[list[tuple[int, int, int]]] = []
    cut_off = 0
    chunks = range(0, len(examples), CHUNK)
    for start in with_progress(chunks, f"Tokenising {name}"):
        chunk = examples[start : start + CHUNK]
        firsts, longer = first_windows(chunk, maker)
        cut_off += longer
        for example, window in zip(chunk, firsts, strict=True):
            pieces.append(np.array(window.ids, dtype=np.int32))
            places = [(span.label, window.tokens_of(span.start, span.end)) for span in example.spans]
            spans.append([(column[label], *tokens) for label, tokens in places if tokens])
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    return TokenisedSplit(np.concatenate(pieces), ends, task.matrix(examples), spans, cut_off, maker.pad_id)


def most_tokens(train: Sequence[BenchmarkExample], base_folder: Path, settings: BenchmarkSettings) -> int:
    """How far texts are read: as the settings say, or as the training texts want it (``BenchmarkSettings.max_tokens``)."""
    if settings.max_tokens is not None:
        return settings.max_tokens
    if settings.minutes is not None:
        return USUAL_TOKENS
    some = train[:: -(-len(train) // LOOKED_AT)]
    _, longer = first_windows(some, window_maker(base_folder, USUAL_TOKENS))
    return MOST_TOKENS if longer > MANY_LONG * len(some) else USUAL_TOKENS


def first_windows(examples: Sequence[BenchmarkExample], maker: WindowMaker) -> tuple[list[Window], int]:
    """The first window of each text, and how many texts have more."""
    firsts: dict[int, Window] = {}
    longer: set[int] = set()
    for window in maker.windows([example.text for example in examples]):
        if window.text_index in firsts:
            longer.add(window.text_index)
        else:
            firsts[window.text_index] = window
    return list(firsts.values()), len(longer)
