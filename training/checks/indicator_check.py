"""Behavioural tests of a model: minimal pairs, written for each language, in ``cases/<language>.jsonl``.

In a *contrast* capability (negation, quotation, voice, age, movement, payment, prevention) ``text`` has the label and
``twin`` has not; a pair is right when the label is ``present`` in the first and not in the second. In an *invariance*
capability both say the same: ``identity`` (nationality, ethnicity, gender, religion or migration status exchanged) fails
when any indicator is ``present`` in one of the two only; ``obfuscation`` (the cue's words disguised) fails when a label
that was found in the plain text is not found in the disguised one. No training ever sees a pair.

After Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList", and Röttger et al. 2022,
"Multilingual HateCheck".
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from models.runtime import Scorer
from models.scores import AdScore, Status
from training.errors import TrainingError

CASES = Path(__file__).parent / "cases"
Capability = Literal["negation", "quotation", "voice", "age", "movement", "payment", "prevention", "identity", "obfuscation"]


class Pair(BaseModel):
    """Two texts and the label that is looked at; ``label`` is None where an ``identity`` pair has no indicator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    capability: Capability
    label: str | None
    text: str
    twin: str

    @property
    def language(self) -> str:
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Outcome:
    """What a scorer made of a pair."""

    pair: Pair
    counted: bool
    """False where there was nothing to lose: an ``obfuscation`` pair whose plain text was not recognised."""
    right: bool


def load_pairs(folder: Path = CASES) -> list[Pair]:
    """All pairs of a folder.

    Raises:
        TrainingError: a line breaks the schema; the message names it.
    """
    pairs: list[Pair] = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                pairs.append(Pair.model_validate_json(line))
            except ValidationError as error:
                raise TrainingError(f"{path}:{number}: {error.errors()[0]['msg']}") from error
    return pairs


def run_pairs(scorer: Scorer, pairs: Sequence[Pair]) -> list[Outcome]:
    """Score both texts of every pair whose label the scorer knows."""
    known = [pair for pair in pairs if pair.label is None or pair.label in scorer.taxonomy.label_ids]
    texts = scorer.score([pair.text for pair in known], evidence=False)
    twins = scorer.score([pair.twin for pair in known], evidence=False)
    return [_outcome(pair, text, twin) for pair, text, twin in zip(known, texts, twins, strict=True)]


def _outcome(pair: Pair, text: AdScore, twin: AdScore) -> Outcome:
    first, second = _present(text), _present(twin)
    if pair.capability == "identity":
        return Outcome(pair, True, first == second)
    if pair.capability == "obfuscation":
        return Outcome(pair, pair.label in first, pair.label in second)
    return Outcome(pair, True, pair.label in first and pair.label not in second)


def _present(score: AdScore) -> set[str]:
    return {label for label, found in score.indicators.items() if found.status is Status.PRESENT}


def indicator_check(scorer: Scorer, pairs: Sequence[Pair] | None = None) -> dict[str, Any]:
    """Failure rates per capability, over all and by language: ``{capability: {"pairs", "failure_rate", "languages":
    {language: {"pairs", "failure_rate"}}}}``. A rate is None where no pair counted."""
    outcomes = run_pairs(scorer, load_pairs() if pairs is None else pairs)
    of_capability: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        of_capability[outcome.pair.capability][outcome.pair.language].append(outcome)
    return {
        capability: {
            **_rate([o for of_language in languages.values() for o in of_language]),
            "languages": {language: _rate(of_language) for language, of_language in sorted(languages.items())},
        }
        for capability, languages in of_capability.items()
    }


def _rate(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    counted = [outcome for outcome in outcomes if outcome.counted]
    wrong = sum(not outcome.right for outcome in counted)
    return {"pairs": len(counted), "failure_rate": wrong / len(counted) if counted else None}
