"""What is measured of one model before it is compared: everything it decides on test texts, on rewritings of them and on
IndicatorCheck, text by text, so that two models can be held against one another on the same texts.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.base import sha256_of
from models.bundle import Bundle
from models.example import LabelledExample, read_examples
from models.onnx_graph import Precision, graph_path
from models.runtime import Scorer
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from training.checks.indicator_check import Outcome, Pair, run_pairs
from training.data import DataFile, digest_of
from training.errors import TrainingError
from training.evaluation import Array, Predictions, evidence_counts, predict
from training.named_bundle import open_named, place_of
from training.progress import with_progress
from training.provenance import languages_of
from training.robustness import RewritingDecisions, decide_rewritten, disguised, identity_swapped
from training.score_cache import CachedRunner, scores_path
from training.settings import DataSource

log = logging.getLogger(__name__)

CHUNK = 64
CHUNKS_A_SAVE = 10


@dataclass(frozen=True)
class Contender:
    """A model that takes part: a bundle, in one precision."""

    place: str
    """``released``, a folder, or ``models:/NAME/VERSION``."""
    bundle: Bundle
    precision: Precision
    graph: Path

    @property
    def name(self) -> str:
        return f"{self.bundle.identity} at {self.place}, {self.precision}"

    @property
    def trained_languages(self) -> frozenset[str]:
        """Languages that it saw in training, as far as is known."""
        return languages_of(self.bundle) or frozenset()


@dataclass(frozen=True)
class OpenContender(Contender):
    """One that can be asked: its graph is in memory, half a gigabyte, for as long as somebody holds it."""

    scorer: Scorer

    @property
    def closed(self) -> Contender:
        """What there is to tell of it afterwards."""
        return Contender(self.place, self.bundle, self.precision, self.graph)


def open_contender(name: str, settings: ModelSettings, precision: Precision) -> OpenContender:
    """Open a model; ``name`` as in ``place_of``.

    Raises:
        ModelError: it is not there, is broken, or its base encoder cannot be had.
    """
    place = place_of(name, settings)
    settings = settings.model_copy(update={"precision": precision})
    bundle = open_named(place, settings)
    graph = graph_path(bundle.weights_digest, settings.cache_dir, precision)
    return OpenContender(place, bundle, precision, graph, Scorer.of_bundle(bundle, settings))


@dataclass(frozen=True)
class TestTexts:
    """The test split of labelled-examples files."""

    __test__ = False  # pytest: not a test

    name: str
    """Of the files."""
    digest: str
    """As ``TrainingData.digest``: a bundle that was made from these files has the same."""
    examples: list[LabelledExample]

    @property
    def groups(self) -> list[str]:
        """What is drawn together in a bootstrap: the scenario, or the text itself where it has none."""
        return [example.scenario or f"#{i}" for i, example in enumerate(self.examples)]


def read_test_texts(sources: Sequence[DataSource], taxonomy: Taxonomy) -> TestTexts:
    """The texts of the split ``test``, of all files together. A file's share is of its training texts alone.

    Raises:
        ExampleError: a file is missing, or a line breaks the schema.
        TrainingError: there is no test text, or one with a label that the taxonomy lacks.
    """
    texts: list[LabelledExample] = []
    for source in sources:
        examples = [example for example in read_examples(source.path) if example.split == "test"]
        for number, example in enumerate(examples, start=1):
            unknown = sorted(set(example.labels) - set(taxonomy.label_ids))
            if unknown:
                raise TrainingError(
                    f"{source.path}: test example {example.id or number} has labels that taxonomy {taxonomy.version} lacks: "
                    f"{', '.join(unknown)}."
                )
        texts += examples
    if not texts:
        raise TrainingError(
            f"{', '.join(str(source.path) for source in sources)} has no example with the split 'test': models are compared on "
            "texts that no training saw."
        )
    files = [DataFile(source.path, sha256_of(source.path), source.share) for source in sources]
    return TestTexts(", ".join(file.path.name for file in files), digest_of(files), texts)


@dataclass(frozen=True)
class Measured:
    """What a model decides, text by text."""

    predictions: Predictions
    evidence: Array
    """[texts, 3], as ``evaluation.evidence_counts``"""
    document_type_right: NDArray[np.bool_]
    """[texts]; False too where a text has no document type"""
    rewritten: RewritingDecisions
    outcomes: list[Outcome]


def measure(contender: OpenContender, data: TestTexts, pairs: Sequence[Pair], cache_dir: Path) -> Measured:
    """Score the texts, their rewritings and the pairs (minutes, with a progress bar; what was scored before is taken from the
    cache), and decide."""
    runner = CachedRunner(contender.scorer.runner, scores_path(contender.bundle.weights_digest, cache_dir, contender.precision))
    examples = data.examples
    rewritings = [*disguised(examples), *identity_swapped(examples)]
    _score_all(
        runner,
        [e.text for e in (*examples, *rewritings)] + [t for p in pairs for t in (p.text, p.twin)],
        str(contender.bundle.identity),
    )
    scorer = Scorer(runner, contender.scorer.taxonomy, contender.scorer.calibration, contender.scorer.identity)
    raw = runner.run([example.text for example in examples])
    predictions = predict(scorer, examples, raw)
    kinds = scorer.taxonomy.document_type_ids
    return Measured(
        predictions,
        evidence_counts(predictions, raw, scorer.calibration.evidence_threshold),
        np.array(
            [
                bool(kinds) and kinds[int(np.argmax(score.document_type_logits))] == example.document_type
                for example, score in zip(examples, raw, strict=True)
            ]
        ),
        decide_rewritten(scorer, examples, raw),
        run_pairs(scorer, pairs),
    )


def _score_all(runner: CachedRunner, texts: list[str], what: str) -> None:
    """Fill the cache, longest texts first: texts of like length share a batch."""
    texts = sorted(set(texts), key=len, reverse=True)
    log.info("%s reads %d texts.", what, len(texts))
    starts = range(0, len(texts), CHUNK)
    for number, start in enumerate(with_progress(starts, "Scoring"), start=1):
        runner.run(texts[start : start + CHUNK])
        if number % CHUNKS_A_SAVE == 0:
            runner.save()  # so that whoever is interrupted goes on from here
    runner.save()
