"""From several opinions of one ad to one: what most say, how many say it, and where an adjudicator must look."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labeling.annotation import Annotation
from labeling.errors import AnnotationError
from models.example import Span


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the annotators of an ad make of it together."""

    ad_id: str
    annotators: tuple[str, ...]
    """Whose opinions these are, in order; those who could not decide are not among them."""
    labels: dict[str, bool]
    """What more than half say of each label, in order of label; a tie is not in it."""
    shares: dict[str, float]
    """Per label that anyone judged, the share of those who did that say present: the soft label."""
    spans: tuple[Span, ...]
    """For labels that are present, the words that more than half of those who marked evidence marked."""
    document_type: str | None
    """What more than half chose."""
    disputed: tuple[str, ...]
    """Labels on which not all say the same, in order."""
    document_type_disputed: bool
    undecided: int
    """How many could not decide."""

    @property
    def settled(self) -> bool:
        """Whether all who read the ad say the same of all that they judged."""
        return bool(self.annotators) and not (self.disputed or self.document_type_disputed or self.undecided)

    def unjudged(self, labels: Iterable[str]) -> list[str]:
        """Those of ``labels`` that nobody judged: all who read the ad opted out of them, or could not decide."""
        return [label for label in labels if label not in self.shares]


def consensus(annotations: Sequence[Annotation]) -> Consensus:
    """The consensus of one ad's annotations, one of each annotator.

    Raises:
        AnnotationError: there are none, they are of several ads, or an annotator is there twice.
    """
    ads = {a.ad_id for a in annotations}
    if len(ads) != 1:
        raise AnnotationError(f"A consensus is of one ad; these annotations are of {len(ads)}.")
    if len({a.annotator for a in annotations}) < len(annotations):
        raise AnnotationError(f"Ad {annotations[0].ad_id} has two annotations of one annotator; give the last one only.")
    decided = sorted((a for a in annotations if a.decided), key=lambda a: a.annotator)
    shares = {}
    for label in sorted({label for a in decided for label in a.labels}):
        opinions = [a.labels[label] for a in decided if label in a.labels]
        shares[label] = sum(opinions) / len(opinions)
    labels = {label: share > 0.5 for label, share in shares.items() if share != 0.5}
    types = Counter(a.document_type for a in decided if a.document_type is not None)
    chosen = [kind for kind, count in types.items() if count * 2 > types.total()]
    return Consensus(
        ad_id=annotations[0].ad_id,
        annotators=tuple(a.annotator for a in decided),
        labels=labels,
        shares=shares,
        spans=tuple(span for label, present in labels.items() if present for span in _majority_spans(decided, label)),
        document_type=chosen[0] if chosen else None,
        disputed=tuple(label for label, share in shares.items() if 0 < share < 1),
        document_type_disputed=len(types) > 1,
        undecided=len(annotations) - len(decided),
    )


def _majority_spans(annotations: Sequence[Annotation], label: str) -> list[Span]:
    """The characters that more than half marked, in one piece each; where no character has that many, those that most marked."""
    marking = [spans for a in annotations if (spans := a.spans_of(label))]
    counts: Counter[int] = Counter()
    for spans in marking:
        counts.update({place for span in spans for place in range(span.start, span.end)})
    if not counts:
        return []
    needed = min(len(marking) // 2 + 1, max(counts.values()))
    places = sorted(place for place, count in counts.items() if count >= needed)
    pieces: list[list[int]] = []
    for place in places:
        if pieces and place == pieces[-1][1]:
            pieces[-1][1] += 1
        else:
            pieces.append([place, place + 1])
    return [Span(start=start, end=end, label=label) for start, end in pieces]
