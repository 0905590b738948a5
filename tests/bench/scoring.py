"""How fast the scorer is beside plain torch, with the same weights and texts, in one run.

    make bench-scoring

Texts are the corpus' own, mixed lengths. `torch, as they come` is what a script with transformers does: batches of 32 in the
order of arrival, padded to the longest, fp32. Both sides tokenise; only ours also cuts out evidence and detects the language.
"""

import platform
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle
from models.runtime import Scorer
from models.settings import ModelSettings
from models.weights import load_weights
from models.windows import padded

TEXTS = 400
BATCH = 32


def texts_per_second(texts: list[str], work: Callable[[list[str]], object]) -> float:
    """Of the better of two rounds."""
    rounds = []
    for _ in range(2):
        began = time.perf_counter()
        work(texts)
        rounds.append(len(texts) / (time.perf_counter() - began))
    return max(rounds)


def milliseconds_alone(texts: list[str], work: Callable[[list[str]], object]) -> float:
    """Median time of one text by itself."""
    times = []
    for text in texts[:60]:
        began = time.perf_counter()
        work([text])
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[len(times) // 2]


def main() -> None:
    settings = ModelSettings()
    bundle = open_bundle(RELEASED)
    fp32, int8 = (Scorer.of_bundle(bundle, settings.model_copy(update={"precision": p})) for p in ("fp32", "int8"))
    model = load_weights(bundle.folder, bundle.manifest.base, settings.cache_dir)
    maker = int8.runner.window_maker

    def plain_torch(texts: list[str]) -> None:
        for start in range(0, len(texts), BATCH):
            ids, mask = padded(maker.windows(texts[start : start + BATCH]), maker.pad_id)
            with torch.inference_mode():
                model(torch.from_numpy(ids), torch.from_numpy(mask))

    texts = [item.example.text for item in read_corpus(corpus_paths())][::3][:TEXTS]
    ways: dict[str, Callable[[list[str]], object]] = {
        "torch fp32, as they come": plain_torch,
        "Scorer fp32 (what is served)": fp32.score,
        "Scorer fp32, raw graph only": fp32.runner.run,
        "Scorer int8": int8.score,
    }
    title = f"{len(texts)} texts, {torch.get_num_threads()} threads"
    table = Table("way", "texts/s", "ratio", "one text alone, ms (median)", title=title)
    base = None
    for name, work in ways.items():
        work(texts[:BATCH])
        speed = texts_per_second(texts, work)
        base = base or speed
        table.add_row(name, f"{speed:.1f}", f"×{speed / base:.2f}", f"{milliseconds_alone(texts, work):.1f}")
    Console(width=110).print(table, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
