"""How many ads a second a core scores, and what more workers and more threads give: the figures that sizing needs, in one run.

    make bench-sizing

Each worker is a process with a scorer of its own, as `signaal-serve score-parts` has them; all are loaded and warm before the
clock starts, and each scores the same number of texts. Texts are the corpus' own: the shortest third, and as long ads the
longest third three times over. Nothing else should run on the machine: the table says its load.
"""

import multiprocessing
import os
import platform
import time
from multiprocessing.synchronize import Barrier
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from labeling.corpus_files import corpus_paths, read_corpus
from models.onnx_graph import Precision
from models.registry import open_scorer
from models.settings import ModelSettings

WAYS = ((1, 1), (1, 2), (2, 1))
"""Workers and threads of each."""
LONGER = 3
WARM_UP = 8
START_SECONDS = 600


def short_and_long(count: int) -> dict[str, list[str]]:
    """As many short ads and long ads as asked for."""
    texts = sorted({item.example.text for item in read_corpus(corpus_paths())}, key=lambda text: (len(text), text))
    third = len(texts) // 3
    short, long = texts[:third], [" ".join([text] * LONGER) for text in texts[-third:]]
    return {name: (some * (1 + count // len(some)))[:count] for name, some in (("short", short), ("long", long))}


def _work(settings: ModelSettings, texts: list[str], ready: Barrier) -> None:
    scorer = open_scorer(settings)
    scorer.score(texts[:WARM_UP])
    ready.wait(START_SECONDS)
    scorer.score(texts)
    ready.wait(START_SECONDS)


def ads_per_second(settings: ModelSettings, texts: list[str], workers: int, threads: int) -> float:
    """Of all workers together, from when the first begins until the last is done."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers + 1)
    mine = settings.model_copy(update={"threads": threads})
    processes = [context.Process(target=_work, args=(mine, texts, ready), daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    ready.wait(START_SECONDS)
    began = time.perf_counter()
    ready.wait(START_SECONDS)
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return workers * len(texts) / seconds


def main(
    texts: Annotated[int, typer.Option(min=WARM_UP, help="Ads that each worker scores, of each length.")] = 400,
    precision: Annotated[str, typer.Option(help="fp32, int8, or both with a comma.")] = "fp32,int8",
) -> None:
    """Measure ads a second for each length, precision, and number of workers and threads."""
    lengths = short_and_long(texts)
    precisions: list[Precision] = [one for one in ("fp32", "int8") if one in precision.split(",")]
    for one in precisions:
        open_scorer(ModelSettings(precision=one))  # so that no worker builds a graph, let alone two at once
    kinds = [(name, one) for name in lengths for one in precisions]
    runs = [(name, one, workers, threads) for name, one in kinds for workers, threads in WAYS]
    load = os.getloadavg()[0]
    speeds = {
        run: ads_per_second(ModelSettings(precision=run[1]), lengths[run[0]], run[2], run[3])
        for run in track(runs, "Measuring", console=Console(stderr=True))
    }
    title = f"{texts} ads a worker, {os.cpu_count()} cores, {platform.processor() or platform.machine()}, load before: {load:.1f}"
    table = Table("ads", "characters", "precision", "workers", "threads", "ads/s", "ads/s a core", "ratio", title=title)
    for name, one in kinds:
        alone = speeds[name, one, 1, 1]
        for workers, threads in WAYS:
            speed = speeds[name, one, workers, threads]
            cells = [f"{speed:.1f}", f"{speed / (workers * threads):.1f}", f"×{speed / alone:.2f}"]
            table.add_row(name, str(_median(lengths[name])), one, str(workers), str(threads), *cells)
    Console(width=120).print(table)


def _median(texts: list[str]) -> int:
    return sorted(len(text) for text in texts)[len(texts) // 2]


if __name__ == "__main__":
    typer.run(main)
