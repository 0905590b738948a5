"""Robustness and faithfulness, with a scorer that is small and barely trained but real."""

import numpy as np

from labeling.corpus_files import corpus_paths, read_corpus
from models.example import LabelledExample
from models.runtime import Scorer
from training.faithfulness import faithfulness
from training.robustness import robustness


def some_examples() -> list[LabelledExample]:
    test = [item.example for item in read_corpus(corpus_paths()) if item.example.split == "test"]
    return [e for e in test if e.labels][::20] + [e for e in test if not e.labels][::40]


def test_robustness_gives_shares_over_all_and_by_language(scorer: Scorer) -> None:
    examples = some_examples()
    raw = scorer.runner.run([e.text for e in examples])
    found = robustness(scorer, examples, raw)
    assert set(found["languages"]) == {e.lang for e in examples}
    assert found["identity_swapped_texts"] == sum(part["identity_swapped_texts"] for part in found["languages"].values()) > 0
    for name in ("recall", "recall_obfuscated", "identity_flips"):
        assert 0 <= found[name] <= 1


def test_a_scorer_that_reads_nothing_is_perfectly_robust(scorer: Scorer) -> None:
    examples = some_examples()
    runner = scorer.runner
    fixed = runner.run([examples[0].text])[0]

    class Deaf:
        """Gives every text the score of the first."""

        def run(self, texts: list[str]) -> list[object]:
            return [fixed for _ in texts]

    deaf = Scorer(Deaf(), scorer.taxonomy, scorer.calibration, scorer.identity)  # type: ignore[arg-type]
    found = robustness(deaf, examples, [fixed] * len(examples))
    assert found["identity_flips"] == 0
    assert found["recall"] == found["recall_obfuscated"]


def test_faithfulness_compares_with_random_removal(scorer: Scorer) -> None:
    found = faithfulness(scorer, some_examples()[:12])
    if found["decisions"]:
        assert all(-1 <= found[name] <= 1 for name in ("comprehensiveness", "random_removal", "sufficiency"))
    assert faithfulness(scorer, []) == {
        "decisions": 0,
        "comprehensiveness": None,
        "random_removal": None,
        "sufficiency": None,
    }


def test_removing_the_evidence_hurts_a_trained_model_more_than_removing_other_words(released_scorer: Scorer) -> None:
    found = faithfulness(released_scorer, some_examples()[:25])
    assert found["decisions"] >= 10
    assert np.isfinite(found["comprehensiveness"])
    assert found["comprehensiveness"] > found["random_removal"]
