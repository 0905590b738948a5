"""Is the evidence what the score rests on? Comprehensiveness and sufficiency after DeYoung et al. 2020, "ERASER".

For every indicator that is ``present``: how far does its probability fall when the evidence is taken out of the text
(comprehensiveness, high is good), when as many random words are (the control), and when nothing but the evidence is left
(sufficiency, low is good).
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from models.example import LabelledExample
from models.runtime import Scorer
from models.scores import Status

_WORD = re.compile(r"\S+")


def faithfulness(scorer: Scorer, examples: Sequence[LabelledExample], seed: int = 0) -> dict[str, Any]:
    """Mean falls of the probability: ``comprehensiveness``, ``random_removal``, ``sufficiency``; and ``decisions``."""
    rng = Random(seed)
    texts: list[str] = []
    asked: list[tuple[str, float]] = []
    for example, score in zip(examples, scorer.score([e.text for e in examples]), strict=True):
        words = [m.span() for m in _WORD.finditer(example.text)]
        for label, found in score.indicators.items():
            if found.status is not Status.PRESENT or not found.evidence:
                continue
            inside = {i for i, (s, e) in enumerate(words) if any(s < x.end and e > x.start for x in found.evidence)}
            if len(inside) == len(words):
                continue
            random = set(rng.sample(range(len(words)), len(inside)))
            everything = set(range(len(words)))
            for kept in (everything - inside, everything - random, inside):
                texts.append(" ".join(example.text[slice(*words[i])] for i in sorted(kept)))
            asked.append((label, found.probability))
    scores = scorer.score(texts, evidence=False)
    falls = np.array(
        [[p - scores[3 * i + k].indicators[label].probability for k in range(3)] for i, (label, p) in enumerate(asked)]
    )
    means = falls.mean(axis=0) if len(falls) else (None, None, None)
    names = ("comprehensiveness", "random_removal", "sufficiency")
    return {"decisions": len(asked), **{n: None if m is None else float(m) for n, m in zip(names, means, strict=True)}}
