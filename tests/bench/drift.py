"""How often ``signaal-train drift`` alarms without reason, and how often with one: the figures in docs/drift.md.

``python -m tests.bench.drift``: scores and embeds the corpus' test split with the released model, as it is and disguised, and
compares random halves of it, some with a planted change. Minutes on two cores; ``--kept FILE`` keeps what the model said.
"""

import argparse
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from labeling.corpus_files import ZERO_SHOT_LANGUAGES, corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle
from models.example import LabelledExample
from models.settings import ModelSettings
from training.augmentation import rewrite
from training.drift.comparisons import Comparison, Thresholds, compare
from training.drift.reading import BundleReader
from training.drift.sample import Sample, SampleFile, SampleLine, Scored, sample_of

HALVES = 200
REPEATS = 50
SIZES = (200, 500)
Rows = NDArray[np.int64]
Change = Callable[[Rows, Generator], Rows]
"""Rows of the current half → rows with the change planted; disguised texts are ``len(examples)`` further on."""


def texts() -> list[LabelledExample]:
    return [
        item.example
        for item in read_corpus(corpus_paths())
        if item.example.split == "test" and item.example.lang not in ZERO_SHOT_LANGUAGES
    ]


def scored(examples: list[LabelledExample], kept: Path | None) -> Sample:
    """One sample: all texts, then all of them disguised."""
    if kept and kept.exists():
        return pickle.loads(kept.read_bytes())  # a file that this script wrote
    disguised = [rewrite(example, "disguise", Random(f"17/{example.id}")).text for example in examples]
    lines = [SampleLine(text=text) for text in [*(example.text for example in examples), *disguised]]
    reader = BundleReader(open_bundle(RELEASED), ModelSettings())
    sample = sample_of(SampleFile(Path("corpus"), lines), reader, seed=17, embed=len(lines))
    if kept:
        kept.write_bytes(pickle.dumps(sample))
    return sample


def drawn_more(wanted: NDArray[np.bool_], share: float) -> Change:
    """Rows replaced until ``share`` of them are wanted ones."""

    def change(rows: Rows, rng: Generator) -> Rows:
        n = round(share * len(rows))
        pool, others = rows[wanted[rows]], rows[~wanted[rows]]
        return np.concatenate([rng.choice(pool, n), rng.choice(others, len(rows) - n)])

    return change


def disguised(examples: int, share: float) -> Change:
    def change(rows: Rows, rng: Generator) -> Rows:
        return np.where(rng.random(len(rows)) < share, rows + examples, rows)

    return change


def changes(examples: list[LabelledExample]) -> dict[str, Change]:
    lang = np.array([example.lang for example in examples])
    age = np.array(["minor_age_cue" in example.labels for example in examples])
    debt = np.array(["debt_or_fees" in example.labels for example in examples])
    service = np.array([example.document_type == "service_ad" for example in examples])
    n = len(examples)
    return {
        f"language: Romanian {np.mean(lang == 'ro'):.0%} → 25%": drawn_more(lang == "ro", 0.25),
        f"language: Romanian {np.mean(lang == 'ro'):.0%} → 50%": drawn_more(lang == "ro", 0.5),
        "disguised words in 10% of the texts": disguised(n, 0.1),
        "disguised words in 30% of the texts": disguised(n, 0.3),
        "disguised words in all texts": disguised(n, 1.0),
        f"labels: under-age cue {np.mean(age):.0%} → 20%": drawn_more(age, 0.2),
        f"labels: under-age cue {np.mean(age):.0%} → 35%": drawn_more(age, 0.35),
        f"labels: debt {np.mean(debt):.0%} → 40%": drawn_more(debt, 0.4),
        f"type: service ads {np.mean(service):.0%} → 65%": drawn_more(service, 0.65),
    }


def part(sample: Sample, rows: Rows) -> Sample:
    """Some of the ads, in this order; every ad is embedded."""

    def of(values: NDArray[np.float64] | None) -> NDArray[np.float64]:
        assert values is not None
        return values[rows]

    scored = Scored(
        {label: values[rows] for label, values in sample.scored.probabilities.items()},
        {label: values[rows] for label, values in sample.scored.statuses.items()},
        [sample.scored.languages[i] for i in rows],
        [sample.scored.document_types[i] for i in rows],
    )
    return replace(
        sample,
        scored=scored,
        characters=of(sample.characters),
        emoji_rate=of(sample.emoji_rate),
        unknown_rate=of(sample.unknown_rate),
        disguised_rate=of(sample.disguised_rate),
        embeddings=of(sample.embeddings),
    )


def halves(total: int, size: int, rng: Generator) -> tuple[Rows, Rows]:
    order = rng.permutation(total)
    return order[:size], order[size : 2 * size]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kept", type=Path)
    kept = parser.parse_args().kept
    examples = texts()
    sample = scored(examples, kept)
    rng = np.random.default_rng(17)
    results: dict[str, object] = {"texts": len(examples)}
    for size in (*SIZES, len(examples) // 2):
        alarms, tests_alone = [], []
        for seed in range(HALVES):
            before, now = (part(sample, rows) for rows in halves(len(examples), size, rng))
            found_here = compare(before, now, Thresholds(), seed)
            alarms.append(any(one.drifted for one in found_here))
            tests_alone.append(any(one.p_adjusted < Thresholds().alpha for one in found_here))
        results[f"false alarms, {size} ads each"] = [float(np.mean(alarms)), float(np.mean(tests_alone))]
        print(size, results[f"false alarms, {size} ads each"], flush=True)
    for name, change in changes(examples).items():
        row: dict[str, object] = {}
        for size in SIZES:
            found: list[list[Comparison]] = []
            for seed in range(REPEATS):
                first, second = halves(len(examples), size, rng)
                now = change(second, rng)
                found.append([one for one in compare(part(sample, first), part(sample, now), Thresholds(), seed) if one.drifted])
            names = [f"{one.group}: {one.name}" for run in found for one in run]
            often = sorted({*names}, key=lambda key: -names.count(key))[:3]
            row[str(size)] = [float(np.mean([bool(run) for run in found])), {key: names.count(key) / REPEATS for key in often}]
        results[name] = row
        print(name, json.dumps(row), flush=True)
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
