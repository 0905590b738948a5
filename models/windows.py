"""From texts to token windows: normalise, blind, tokenise, split what is too long with overlap.

Every token knows which characters of the ORIGINAL text it stands for. Training and the runtime read texts through this
one file, so they cannot drift apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.errors import BaseEncoderError
from models.identity import blinded
from models.language import detect_language
from models.text import normalise

MAX_TOKENS = 256
OVERLAP = 64


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens of one text, special tokens included. ``starts[i]:ends[i]`` are the original characters of token ``i``; both
    are -1 for special tokens. ``text_index`` says which text it is of."""

    text_index: int
    ids: list[int]
    starts: list[int]
    ends: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """First and end token that touch ``text[start:end]`` of the original; None where none does."""
        touching = [i for i, (s, e) in enumerate(zip(self.starts, self.ends, strict=True)) if s >= 0 and s < end and e > start]
        return (touching[0], touching[-1] + 1) if touching else None


class WindowMaker:
    """Splits texts into windows of at most ``max_tokens`` tokens, neighbours sharing ``overlap`` tokens; ``blind`` as in
    ``models.identity``."""

    def __init__(self, tokenizer_file: Path, *, blind: bool = True, max_tokens: int = MAX_TOKENS, overlap: int = OVERLAP) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # the tokenizers library raises a bare Exception
            raise BaseEncoderError(f"Cannot read the tokenizer {tokenizer_file}: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        empty = self._tokenizer.encode("").ids
        if len(empty) != 2:
            raise BaseEncoderError(f"{tokenizer_file} does not put one token before and one after a text.")
        self._before, self._after = empty
        pad = self._tokenizer.token_to_id("<pad>")
        self.pad_id: int = pad if pad is not None else self._tokenizer.token_to_id("[PAD]") or 0
        self._blind = blind
        unknown = self._tokenizer.token_to_id("<unk>")
        self.unknown_id: int = unknown if unknown is not None else self._tokenizer.token_to_id("[UNK]") or 0
        self.max_tokens = max_tokens
        self._room = max_tokens - 2
        self._step = self._room - overlap

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """The windows of all texts, in order; each text has at least one."""
        return [window for index, text in enumerate(texts) for window in self._windows_of(index, text)]

    def _windows_of(self, index: int, text: str) -> Iterator[Window]:
        normalised = normalise(text)
        if self._blind:
            normalised = blinded(normalised, detect_language(normalised.text)[0])
        encoding = self._tokenizer.encode(normalised.text, add_special_tokens=False)
        places = [normalised.to_original(s, e) if s < e else (-1, -1) for s, e in _trimmed(encoding.offsets, normalised.text)]
        position = 0
        while True:
            piece = slice(position, position + self._room)
            yield Window(
                index,
                [self._before, *encoding.ids[piece], self._after],
                [-1, *(start for start, _ in places[piece]), -1],
                [-1, *(end for _, end in places[piece]), -1],
            )
            if position + self._room >= len(encoding.ids):
                return
            position += self._step


def _trimmed(offsets: list[tuple[int, int]], text: str) -> Iterator[tuple[int, int]]:
    """Token offsets without the space that SentencePiece counts to a word."""
    for start, end in offsets:
        spaces = len(text[start:end]) - len(text[start:end].lstrip())
        yield start + spaces, end


def padded(windows: Sequence[Window], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, both [windows, longest]."""
    longest = max(len(window) for window in windows)
    ids = np.full((len(windows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(windows), longest), dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window.ids
        mask[row, : len(window)] = 1
    return ids, mask


def batches(windows: Sequence[Window], token_budget: int) -> Iterator[list[int]]:
    """Indices of windows in batches of like length, each of at most ``token_budget`` tokens padding included (or one window)."""
    batch: list[int] = []
    for index in sorted(range(len(windows)), key=lambda i: -len(windows[i])):
        if batch and len(windows[batch[0]]) * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
