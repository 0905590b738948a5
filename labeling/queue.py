"""What to label next: the order of ads that are still open, mixed from several strategies.

Each strategy has its own order; the plan takes from them in turn, so that at every place of it each strategy has had its
share, to within one ad. Of near-duplicates only the first that any strategy wants is in the plan.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Coverage = Mapping[tuple[str, str], float]
"""(label, language) to how many labelled ads have it."""


class Mixing(BaseModel):
    """How much of the queue each strategy fills; shares count against their sum."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    random: float = Field(
        default=0.2, ge=0, description="Any ad: without these, figures on labelled ads say nothing about all ads."
    )
    uncertainty: float = Field(default=0.3, ge=0, description="Ads that the model is least sure about.")
    diversity: float = Field(default=0.2, ge=0, description="Ads of kinds that few were labelled of.")
    under_covered: float = Field(default=0.2, ge=0, description="Ads that likely have a label that is rare in their language.")
    feedback_first: float = Field(default=0.1, ge=0, description="Ads that a user of the scoring API said something about.")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An open ad, with what the strategies need; a strategy passes over ads that lack it."""

    ad_id: str
    language: str = "und"
    group: str | None = None
    """Its group of near-duplicates."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Label id to calibrated probability."""
    cluster: int | None = None
    feedback: bool = False


def plan(
    candidates: Sequence[Candidate],
    mixing: Mixing,
    rng: Random,
    *,
    coverage: Coverage | None = None,
    labelled_of_cluster: Mapping[int, int] | None = None,
    limit: int | None = None,
) -> list[str]:
    """Ad ids in the order in which to label them.

    Args:
        candidates: open ads, in order of arrival.
        mixing: shares; a strategy that has run out leaves its share to the others.
        rng: decides ties and the random strategy; the same state gives the same plan.
        coverage: labelled ads per label and language; nothing is covered when None.
        labelled_of_cluster: labelled ads per cluster; none when None.
        limit: how many ads are wanted; all when None.
    """
    orders: dict[str, Callable[[], Iterator[Candidate]]] = {
        "random": lambda: iter(_shuffled(candidates, rng)),
        "uncertainty": lambda: _most_uncertain(candidates, rng),
        "diversity": lambda: _across_clusters(candidates, labelled_of_cluster or {}, rng),
        "under_covered": lambda: _under_covered(candidates, coverage or {}, rng),
        "feedback_first": lambda: iter([c for c in candidates if c.feedback]),
    }
    shares = {name: getattr(mixing, name) for name in orders if getattr(mixing, name) > 0}
    if not shares:
        shares = {"random": 1.0}
    open_orders = {name: orders[name]() for name in shares}
    taken: dict[str, int] = dict.fromkeys(shares, 0)
    planned: list[str] = []
    seen: set[str] = set()
    while open_orders and (limit is None or len(planned) < limit):
        # The strategy that is furthest behind its share.
        name = min(open_orders, key=lambda n: (taken[n] + 1) / shares[n])
        candidate = next((c for c in open_orders[name] if (c.group or c.ad_id) not in seen), None)
        if candidate is None:
            del open_orders[name]
            if not open_orders and "random" not in shares:
                shares["random"], taken["random"], open_orders["random"] = (
                    1.0,
                    0,
                    orders["random"](),
                )  # what no strategy wants comes last
            continue
        seen.add(candidate.group or candidate.ad_id)
        taken[name] += 1
        planned.append(candidate.ad_id)
    return planned


def uncertainty(probabilities: Mapping[str, float]) -> float:
    """How unsure a model is of an ad, 0 to 1: the entropy in bits of its least sure label."""
    return max((_entropy(p) for p in probabilities.values()), default=0.0)


def _entropy(p: float) -> float:
    return 0.0 if p <= 0 or p >= 1 else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def _shuffled(candidates: Sequence[Candidate], rng: Random) -> list[Candidate]:
    return rng.sample(candidates, len(candidates))


def _most_uncertain(candidates: Sequence[Candidate], rng: Random) -> Iterator[Candidate]:
    scored = [c for c in _shuffled(candidates, rng) if c.probabilities]
    return iter(sorted(scored, key=lambda c: uncertainty(c.probabilities), reverse=True))


def _across_clusters(candidates: Sequence[Candidate], labelled: Mapping[int, int], rng: Random) -> Iterator[Candidate]:
    """One from the cluster of which fewest are labelled, then again."""
    members: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in _shuffled(candidates, rng):
        if candidate.cluster is not None:
            members[candidate.cluster].append(candidate)
    heap = [(labelled.get(cluster, 0), rng.random(), cluster) for cluster in members]
    heapq.heapify(heap)
    while heap:
        count, _, cluster = heap[0]
        yield members[cluster].pop()
        if members[cluster]:
            heapq.heapreplace(heap, (count + 1, rng.random(), cluster))
        else:
            heapq.heappop(heap)


def _under_covered(candidates: Sequence[Candidate], coverage: Coverage, rng: Random) -> Iterator[Candidate]:
    """Greedy by what an ad is expected to add: the sum over its labels of probability by how many are covered already.

    Each ad taken adds its probabilities to what is covered in its language, and the ads of that language are weighed anew.
    """
    scored = [c for c in _shuffled(candidates, rng) if c.probabilities]
    labels = sorted({label for c in scored for label in c.probabilities})
    probabilities = np.array([[c.probabilities.get(label, 0.0) for label in labels] for c in scored], dtype=np.float32)
    worth = np.zeros(len(scored), dtype=np.float32)
    places = {lang: np.array([i for i, c in enumerate(scored) if c.language == lang]) for lang in {c.language for c in scored}}
    of_language = {language: probabilities[rows] for language, rows in places.items()}
    covered = {lang: np.array([coverage.get((la, lang), 0.0) for la in labels], dtype=np.float32) for lang in places}
    for language, rows in places.items():
        worth[rows] = of_language[language] @ (1 / (1 + covered[language]))
    for _ in scored:
        best = int(worth.argmax())
        yield scored[best]
        language, worth[best] = scored[best].language, -np.inf
        covered[language] += probabilities[best]
        rows = places[language]
        worth[rows] = np.where(np.isneginf(worth[rows]), -np.inf, of_language[language] @ (1 / (1 + covered[language])))
