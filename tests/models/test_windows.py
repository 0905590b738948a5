from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BaseEncoderError
from models.windows import WindowMaker, batches, padded

LONG = "Wij zoeken plukkers voor de kas, huisvesting en vervoer zijn geregeld. " * 60


@pytest.fixture(scope="module")
def maker(base_folder: Path) -> WindowMaker:
    return WindowMaker(base_folder / "tokenizer.json")


def test_a_short_text_is_one_window_with_offsets_of_the_original(maker: WindowMaker) -> None:
    text = "🙂 Je  paspoort blijft hier"
    (window,) = maker.windows([text])
    words = [text[s:e] for s, e in zip(window.starts, window.ends, strict=True) if s >= 0]
    assert "🙂" in words
    assert "".join(words) == text.replace(" ", "")
    assert window.starts[0] == window.ends[-1] == -1


def test_a_long_text_is_split_with_overlap_and_nothing_is_lost(maker: WindowMaker) -> None:
    windows = maker.windows([LONG])
    assert len(windows) > 3
    assert all(len(window) <= 256 for window in windows)
    covered = {i for w in windows for s, e in zip(w.starts, w.ends, strict=True) if s >= 0 for i in range(s, e)}
    assert {i for i, c in enumerate(LONG) if not c.isspace()} <= covered
    first, second = windows[:2]
    assert first.starts[-2] > second.starts[1]


@pytest.mark.parametrize("text", ["", "   ", "\u200b\ufeff", "\x00"])
def test_a_text_with_nothing_to_read_still_has_a_window(maker: WindowMaker, text: str) -> None:
    (window,) = maker.windows([text])
    assert all(start == -1 or start < len(text) for start in window.starts)


@given(st.lists(st.integers(1, 256), min_size=1, max_size=60), st.integers(256, 4096))
def test_batches_keep_every_window_once_and_stay_in_the_budget(lengths: list[int], budget: int) -> None:
    windows = [range(n) for n in lengths]
    found = list(batches(windows, budget))  # type: ignore[arg-type]
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[i] for i in batch) <= budget for batch in found)


def test_padding_is_masked(maker: WindowMaker) -> None:
    windows = maker.windows(["kort", "een veel langere tekst dan de andere"])
    ids, mask = padded(windows, maker.pad_id)
    assert ids.shape == mask.shape
    assert mask.sum(axis=1).tolist() == [len(w) for w in windows]
    assert np.all(ids[mask == 0] == maker.pad_id)


def test_a_broken_tokenizer_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BaseEncoderError, match=r"tokenizer\.json"):
        WindowMaker(tmp_path / "tokenizer.json")
