"""Does a score move with what must not move it? The test texts, rewritten as ``training.augmentation`` rewrites training texts.

``obfuscation``: how much recall is lost when words are disguised. ``identity``: how often a status ``present`` comes or
goes when words of nationality, ethnicity and gender are exchanged. The rewriting is drawn once per text, with a fixed seed.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.example import LabelledExample
from models.runtime import RawScore, Scorer
from training.augmentation import rewrite
from training.evaluation import predict

SEED = "robustness"


def robustness(scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> dict[str, Any]:
    """Figures over all languages and by language.

    Args:
        examples: the test split.
        raw: its raw scores.
    """
    plain = predict(scorer, examples, raw)
    n = len(scorer.taxonomy.indicators)
    before, truth = plain.decided[:, :n], plain.truth[:, :n] >= 0.5
    languages = np.array(plain.languages)

    disguised = _decided(scorer, [rewrite(e, "disguise", Random(f"{SEED}/{e.id}")) for e in examples])
    swapped_texts = [rewrite(e, "identity_swap", Random(f"{SEED}/{e.id}")) for e in examples]
    changed = np.array([a.text != b.text for a, b in zip(examples, swapped_texts, strict=True)])
    after = before.copy()
    if changed.any():
        after[changed] = _decided(scorer, [e for e, c in zip(swapped_texts, changed, strict=True) if c])

    def part(rows: NDArray[np.bool_]) -> dict[str, Any]:
        positives = truth[rows].sum()
        swapped = rows & changed
        return {
            "recall": _share(before[rows][truth[rows]].sum(), positives),
            "recall_obfuscated": _share(disguised[rows][truth[rows]].sum(), positives),
            "identity_swapped_texts": int(swapped.sum()),
            "identity_flips": _share((before != after)[swapped].any(axis=1).sum(), swapped.sum()),
        }

    everything = np.ones(len(examples), dtype=bool)
    return {**part(everything), "languages": {str(lang): part(languages == lang) for lang in np.unique(languages)}}


def _decided(scorer: Scorer, examples: list[LabelledExample]) -> NDArray[np.bool_]:
    raw = scorer.runner.run([example.text for example in examples])
    return predict(scorer, examples, raw).decided[:, : len(scorer.taxonomy.indicators)]


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
