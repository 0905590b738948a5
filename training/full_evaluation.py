"""A model evaluated whole: figures on the test split, on its rewritings and of IndicatorCheck, beside baselines."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.example import LabelledExample
from models.runtime import GraphRunner, RawScore, Scorer
from models.scores import ModelIdentity
from models.settings import ModelSettings
from training.baselines import baseline_figures
from training.checks.indicator_check import indicator_check
from training.data import TrainingData, check_indicators, load_data
from training.evaluation import Predictions, figures, predict
from training.faithfulness import faithfulness
from training.plots import draw_all
from training.progress import with_progress
from training.provenance import Unseen, languages_of, started_from, unseen_by
from training.report import write_report
from training.robustness import robustness

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of a scorer, and what the plots are drawn from."""

    figures: dict[str, Any]
    baselines: dict[str, Any]
    predictions: Predictions

    def facts(self, model: ModelIdentity, data_digest: str, by: Unseen, begun_with: str | None) -> dict[str, Any]:
        """What a report tells: of which model, on which data, by whom these were not seen, and what the model started from."""
        return {
            "model": asdict(model),
            "data_digest": data_digest,
            "unseen": by,
            "started_from": begun_with,
            "figures": self.figures,
            "baselines": self.baselines,
        }

    def draw(self, folder: Path) -> dict[str, Path]:
        return draw_all(self.predictions, self.figures, self.baselines, folder)


def evaluate_scorer(scorer: Scorer, data: TrainingData, trained: frozenset[str] | None = None) -> Evaluation:
    """Figures on the test split, on rewritings of it and on IndicatorCheck, beside baselines that saw the training split.

    Args:
        scorer: the model's.
        data: the splits.
        trained: languages that its training saw; those of the training split when None.

    Raises:
        TrainingError: no test text has an indicator.
    """
    test = data.splits["test"]
    known = data.languages if trained is None else trained
    known_test = [example for example in test if example.lang in known] or test
    check_indicators(known_test, scorer.taxonomy)
    raw = score_with_progress(scorer.runner, test, "test")
    log.info("Evaluating behaviour: robustness, evidence, IndicatorCheck.")
    results = {
        **figures(scorer, test, raw, trained_languages=known),
        "robustness": robustness(scorer, test, raw),
        "faithfulness": faithfulness(scorer, test),
        "indicator_check": indicator_check(scorer),
    }
    baselines = baseline_figures({**data.splits, "test": known_test}, scorer.taxonomy)
    return Evaluation(results, baselines, predict(scorer, test, raw))


def score_with_progress(runner: GraphRunner, examples: list[LabelledExample], what: str) -> list[RawScore]:
    """Raw scores of a split, with a progress bar."""
    raw: list[RawScore] = []
    for start in with_progress(range(0, len(examples), 256), f"Scoring {what}"):
        raw += runner.run([example.text for example in examples[start : start + 256]])
    return raw


def evaluate_bundle(bundle: Bundle, path: Path, output: Path, model_settings: ModelSettings) -> tuple[Path, dict[str, Any]]:
    """Report of a bundle on the test split of a data file."""
    scorer = Scorer.of_bundle(bundle, model_settings)
    data = load_data(path, scorer.taxonomy)
    evaluation = evaluate_scorer(scorer, data, languages_of(bundle))
    facts = evaluation.facts(bundle.identity, data.digest, unseen_by(bundle, data.digest), started_from(bundle))
    return write_report(output, facts, evaluation.draw(output)), evaluation.figures
