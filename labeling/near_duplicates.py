"""Near-duplicates: the same ad with another number, price or emoji, so that nobody reads it forty times.

MinHash over letter 5-grams with locality-sensitive hashing (Broder 1997; ``datasketch``). Digits, signs, accents and case
do not count, so a changed number or price changes nothing at all. What the sketch suggests is accepted when its estimate of
the Jaccard similarity is ``SIMILAR`` or more.

An ad joins the group of the earlier ad that it is most like. Groups never merge afterwards, so that an ad's group, and with it
its split, stays what it was; two groups that a later ad lies between stay two.
"""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.lib.stride_tricks import sliding_window_view

from labeling.masking.folding import fold

SIMILAR = 0.7
SAME = 0.95
"""From this similarity on, an ad leads to no other than the ad it is like: it need not be searched for."""
MOST_INDEXED = 50
"""Members of a group that are searched for; without a bound, ten thousand variants of one ad would each be compared with all."""
PERMUTATIONS = 128
SHINGLE = 5
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint32)  # odd, from xxHash
_EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=int, scheme="affine32")


def sketch_of(text: str) -> bytes:
    """What the index needs of a text: ``4 * PERMUTATIONS`` bytes to keep beside the ad, so that it is not read again."""
    return bytes(_sketch(text).hashvalues.astype("<u4").tobytes())


class NearDuplicateIndex:
    """Groups of the ads seen so far; a group's id is the id of its first ad. Not thread-safe."""

    def __init__(self) -> None:
        # 20 bands of 6: a pair at 0.7 is found with probability 0.92, one at 0.8 with 0.997; the estimate sorts out the rest.
        self._index = MinHashLSH(num_perm=PERMUTATIONS, params=(20, 6))
        self._indexed: dict[str, tuple[str, MinHash]] = {}
        self._members: Counter[str] = Counter()

    def restore(self, ad_id: str, sketch: bytes, group: str) -> None:
        """Put back an ad that was grouped earlier."""
        self._insert(ad_id, _read(sketch), group)

    def add(self, ad_id: str, text: str) -> str:
        """The group of a new ad, which is its own id where it is like no ad before it."""
        return self.add_sketch(ad_id, sketch_of(text))

    def add_sketch(self, ad_id: str, sketch: bytes) -> str:
        """As ``add``, for a sketch that is there already."""
        new = _read(sketch)
        similarity, likest = max(((new.jaccard(self._indexed[o][1]), o) for o in self._index.query(new)), default=(0.0, ""))
        group = self._indexed[likest][0] if similarity >= SIMILAR else ad_id
        if similarity < SAME:
            self._insert(ad_id, new, group)
        return group

    def _insert(self, ad_id: str, sketch: MinHash, group: str) -> None:
        if self._members[group] < MOST_INDEXED:
            self._members[group] += 1
            self._index.insert(ad_id, sketch)
            self._indexed[ad_id] = (group, sketch)


def groups(ads: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Ad id to group id, for ads as (id, text) in order of arrival."""
    index = NearDuplicateIndex()
    return {ad_id: index.add(ad_id, text) for ad_id, text in ads}


def _sketch(text: str) -> MinHash:
    letters = _NOT_LETTERS.sub(" ", fold(text).casefold()).strip().ljust(SHINGLE)
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
    # A sum of five products tells the order of letters apart; datasketch mixes it further.
    shingles = sliding_window_view(codes, SHINGLE) @ _MULTIPLIERS
    sketch = _EMPTY.copy()
    sketch.update_batch(np.unique(shingles).tolist())
    return sketch


def _read(sketch: bytes) -> MinHash:
    read = _EMPTY.copy()
    read.hashvalues = np.frombuffer(sketch, dtype="<u4").astype(_EMPTY.hashvalues.dtype)
    return read
