"""Does a score move with what must not move it? The test texts, rewritten as ``training.augmentation`` rewrites training texts.

``obfuscation``: how much recall is lost when words are disguised. ``identity``: how often a status ``present`` comes or
goes when words of nationality, ethnicity and gender are exchanged. The rewriting is drawn once per text, with a fixed seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.example import LabelledExample
from models.runtime import RawScore, Scorer
from training.augmentation import rewrite
from training.evaluation import predict

SEED = "robustness"

Decisions = NDArray[np.bool_]


def disguised(examples: Sequence[LabelledExample]) -> list[LabelledExample]:
    """The examples with words disguised."""
    return [rewrite(e, "disguise", Random(f"{SEED}/{e.id}")) for e in examples]


def identity_swapped(examples: Sequence[LabelledExample]) -> list[LabelledExample]:
    """The examples with words of nationality, ethnicity and gender exchanged; those without such a word as they are."""
    return [rewrite(e, "identity_swap", Random(f"{SEED}/{e.id}")) for e in examples]


@dataclass(frozen=True)
class RewritingDecisions:
    """Which indicators are ``present``, as the texts are and rewritten; each [examples, indicators], ``changed`` [examples]."""

    plain: Decisions
    disguised: Decisions
    swapped: Decisions
    changed: Decisions
    """Whether the exchange of identity words changed the text at all."""


def decide_rewritten(scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> RewritingDecisions:
    """Decisions on rewritings of the examples; arguments as in ``robustness``."""
    plain = predict(scorer, examples, raw).decided[:, : len(scorer.taxonomy.indicators)]
    swaps = identity_swapped(examples)
    changed = np.array([a.text != b.text for a, b in zip(examples, swaps, strict=True)])
    swapped = plain.copy()
    if changed.any():
        swapped[changed] = _decided(scorer, [e for e, c in zip(swaps, changed, strict=True) if c])
    return RewritingDecisions(plain, _decided(scorer, disguised(examples)), swapped, changed)


def robustness(scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> dict[str, Any]:
    """Figures over all languages and by language.

    Args:
        examples: the test split.
        raw: its raw scores.
    """
    decided = decide_rewritten(scorer, examples, raw)
    truth = predict(scorer, examples, raw).truth[:, : len(scorer.taxonomy.indicators)] >= 0.5
    languages = np.array([example.lang for example in examples])

    def part(rows: NDArray[np.bool_]) -> dict[str, Any]:
        positives = truth[rows].sum()
        swapped = rows & decided.changed
        return {
            "recall": _share(decided.plain[rows][truth[rows]].sum(), positives),
            "recall_obfuscated": _share(decided.disguised[rows][truth[rows]].sum(), positives),
            "identity_swapped_texts": int(swapped.sum()),
            "identity_flips": _share((decided.plain != decided.swapped)[swapped].any(axis=1).sum(), swapped.sum()),
        }

    everything = np.ones(len(examples), dtype=bool)
    return {**part(everything), "languages": {str(lang): part(languages == lang) for lang in np.unique(languages)}}


def _decided(scorer: Scorer, examples: list[LabelledExample]) -> Decisions:
    raw = scorer.runner.run([example.text for example in examples])
    return predict(scorer, examples, raw).decided[:, : len(scorer.taxonomy.indicators)]


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
