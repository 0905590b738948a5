"""How fast the service is over HTTP, beside what it could be at best and beside three ordinary ways to serve the same model.

    make bench-serving

One machine, one run, the same weights and the same texts of mixed length; the slow ways get the first 500 of them, and say so.
All in fp32, but for the rows that say int8.
The raw graph, batches of like length side by side on all cores, is the ceiling: tokens in, logits out, nothing else; the better
of before and after. The same in a loop, a batch at a time, is what one would write first.
Signaal, LitServe and MLflow's server read the text, calibrate, cut out evidence and detect the language; the pipeline tokenises.
The load comes from this process, which takes a part of the same cores. Memory is what the server's processes take together after
the load, pages that several share counted once.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle, verified_base
from models.runtime import GraphRunner, Scorer
from models.settings import ModelSettings
from models.windows import Window, batches
from tests.bench.connection import Connection

SOME_TEXTS = 500
"""Of the texts, for the slow ways: enough for their speed."""
BINARY = Path(sys.executable).parent
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000, help="how many texts [default: 2000]")
    options = parser.parse_args()
    corpus = [item.example.text for item in read_corpus(corpus_paths()) if item.example.split != "test"]
    texts = random.Random(0).sample(corpus, options.texts)  # all languages and lengths, in no order
    some = texts[:SOME_TEXTS]
    console = Console(width=120)
    rows: list[Row] = []

    def note(way: str, of: list[str], speed: float, times: Sequence[float] = (), memory: float = 0.0) -> None:
        rows.append(Row(way + (f" ({len(of)} texts)" if len(of) < len(texts) else ""), speed, times, memory))
        console.print(f"{rows[-1].way}: {speed:.1f} ads/s", highlight=False)

    scorer = Scorer.of_bundle(open_bundle(RELEASED), ModelSettings())
    scorer.runner.run(texts[:64])
    graph = speed_of_graph(scorer.runner, texts, scorer.runner.forward_all)
    note("raw graph, sorted, in a loop", texts, speed_of_graph(scorer.runner, texts, partial(map, scorer.runner.forward)))
    maker = scorer.runner.window_maker
    times = [
        seconds_of(lambda part: [scorer.runner.forward([window]) for window in part], maker.windows([text])) for text in some
    ]
    note("raw graph, one text at a time", some, len(some) / sum(times), times)
    note("the scorer in this process, sorted", texts, len(texts) / seconds_of(scorer.score, texts))
    times = [seconds_of(scorer.score, [text]) for text in some]
    note("the scorer in this process, one text at a time", some, len(some) / sum(times), times)
    for precision in ("fp32", "int8"):
        name = "Signaal" if precision == "fp32" else "Signaal in int8"
        command = [str(BINARY / "signaal-serve"), "api", "--port", "0"]
        with served(command, r"listens on (http://\S+) ", "/readyz", SIGNAAL_PRECISION=precision) as server:
            for clients in (1, 8, 32):
                part = some if clients == 1 else texts
                speed, times = asyncio.run(load(part, clients, 1, score_body, f"{server.url}/v1/score"))
                note(f"{name}, {clients} client{'s' * (clients > 1)}, an ad a request", part, speed, times, server.memory())
            speed, times = asyncio.run(load(texts, 8, 32, score_body, f"{server.url}/v1/score"))
            note(f"{name}, 8 clients, 32 ads a request", texts, speed, times, server.memory())
            speed = asyncio.run(streamed(texts, f"{server.url}/v1/score/stream"))
            note(f"{name}, one stream", texts, speed, (), server.memory())
    for size in (1, 32):
        speed, times = pipeline(some, size)
        note(f"transformers.pipeline, fp32, batch_size={size}", some, speed, times)
    command = [sys.executable, "-m", "tests.bench.lit_server", "5124"]
    with served(command, None, "/health", "http://127.0.0.1:5124") as server:
        for clients in (1, 8, 32):
            part = some if clients == 1 else texts
            speed, times = asyncio.run(load(part, clients, 1, lit_body, f"{server.url}/predict"))
            note(f"LitServe, {clients} client{'s' * (clients > 1)}, an ad a request", part, speed, times, server.memory())
    with tempfile.TemporaryDirectory() as folder:
        save_pyfunc(Path(folder) / "model")
        command = [str(BINARY / "mlflow"), "models", "serve", "-m", f"{folder}/model", "--env-manager", "local", "--port", "5123"]
        with served(command, None, "/ping", "http://127.0.0.1:5123") as server:
            for clients in (1, 8, 32):
                speed, times = asyncio.run(load(some, clients, 1, mlflow_body, f"{server.url}/invocations"))
                note(
                    f"MLflow's server, {clients} client{'s' * (clients > 1)}, an ad a request",
                    some,
                    speed,
                    times,
                    server.memory(),
                )
            speed, times = asyncio.run(load(some, 2, 32, mlflow_body, f"{server.url}/invocations"))
            note("MLflow's server, 2 clients, 32 ads a request", some, speed, times, server.memory())
    ceiling = max(graph, speed_of_graph(scorer.runner, texts, scorer.runner.forward_all))
    table = Table("way", "ads/s", "of the ceiling", "p50 ms", "p95 ms", "p99 ms", "memory", title=f"{len(texts)} texts")
    for row in [Row("raw graph, sorted, side by side (the ceiling)", ceiling), *rows]:
        percentiles = [f"{p * 1000:.0f}" for p in np.percentile(row.times, [50, 95, 99])] if len(row.times) else ["", "", ""]
        memory = f"{row.memory:.2f} GB" if row.memory else ""
        table.add_row(row.way, f"{row.speed:.1f}", f"{row.speed / ceiling:.0%}", *percentiles, memory)
    console.print(table)


@dataclass(frozen=True)
class Row:
    """A way of serving: ads a second, seconds of each request, GB at most."""

    way: str
    speed: float
    times: Sequence[float] = ()
    memory: float = 0.0


def seconds_of(work: Callable[[T], object], parts: T) -> float:
    began = time.perf_counter()
    work(parts)
    return time.perf_counter() - began


def speed_of_graph(runner: GraphRunner, texts: list[str], way: Callable[[list[list[Window]]], Iterable[object]]) -> float:
    """Texts a second through the graph alone, read beforehand, of the better of two rounds; ``way`` runs the batches."""
    windows = runner.window_maker.windows(texts)
    filled = [[windows[i] for i in batch] for batch in batches(windows, runner.token_budget)]
    rounds = [seconds_of(lambda parts: list(way(parts)), filled) for _ in range(2)]
    return len(texts) / min(rounds)


def score_body(texts: list[str]) -> dict[str, object]:
    return {"ads": [{"id": str(i), "text": text} for i, text in enumerate(texts)]}


def lit_body(texts: list[str]) -> dict[str, object]:
    return {"text": texts[0]}


def mlflow_body(texts: list[str]) -> dict[str, object]:
    return {"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}}


async def load(
    texts: list[str], clients: int, per_request: int, body: Callable[[list[str]], dict[str, object]], url: str
) -> tuple[float, list[float]]:
    """Ads a second, and the seconds of each request; every client sends its next request when it has an answer."""
    waiting = [texts[i : i + per_request] for i in range(0, len(texts), per_request)]
    times: list[float] = []

    async def client(connection: Connection) -> None:
        while waiting:
            part = json.dumps(body(waiting.pop())).encode()
            began = time.perf_counter()
            await connection.post(part)
            times.append(time.perf_counter() - began)

    connections = [Connection(url) for _ in range(clients)]
    for connection in connections:  # warm
        await connection.post(json.dumps(body(texts[:per_request])).encode())
    began = time.perf_counter()
    await asyncio.gather(*map(client, connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return len(texts) / seconds, times


async def streamed(texts: list[str], url: str) -> float:
    """Ads a second over one stream."""

    async def lines() -> "object":
        for text in texts:
            yield json.dumps({"text": text}).encode() + b"\n"

    began, answers = time.perf_counter(), 0
    async with httpx.AsyncClient(timeout=300) as session:
        request = session.stream("POST", url, content=lines(), headers={"Content-Type": "application/x-ndjson"})
        async with request as answer:
            async for _ in answer.aiter_lines():
                answers += 1
    assert answers == len(texts)
    return answers / (time.perf_counter() - began)


def pipeline(texts: list[str], batch_size: int) -> tuple[float, list[float]]:
    """``transformers.pipeline`` on the network in torch, called in its two ordinary ways; seconds of each call."""
    import transformers

    from models.weights import load_weights

    bundle, settings = open_bundle(RELEASED), ModelSettings()
    model = load_weights(bundle.folder, bundle.manifest.base, settings.cache_dir)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(verified_base(bundle.manifest.base, settings.cache_dir) / "tokenizer.json"), pad_token="<pad>"
    )
    transformers.logging.set_verbosity_error()  # it says that it does not know the network's class, and works
    model.config.id2label = dict(enumerate(model.config.labels))
    scoring = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer, top_k=None, function_to_apply="sigmoid"
    )
    scoring(texts[0])
    if batch_size > 1:
        return len(texts) / seconds_of(lambda all_texts: scoring(all_texts, batch_size=batch_size), texts), []
    times = [seconds_of(scoring, text) for text in texts]
    return len(texts) / sum(times), times


def save_pyfunc(folder: Path) -> None:
    """The released bundle as MLflow stores it."""
    import mlflow

    from models.registry import BUNDLE_ARTIFACT

    source = Path(__file__).parents[2] / "models" / "pyfunc_model.py"
    mlflow.pyfunc.save_model(folder, python_model=str(source), artifacts={BUNDLE_ARTIFACT: str(RELEASED)}, pip_requirements=[])


@dataclass
class Served:
    """A server as a process."""

    url: str
    process: subprocess.Popen[bytes]

    def memory(self) -> float:
        """Of it and its children together, in GB; pages that several share, or map twice, are counted once."""
        return sum(one.memory_full_info().pss for one in self._family()) / 1e9

    def kill(self) -> None:
        if self.process.poll() is None:
            for one in reversed(self._family()):
                one.kill()
        self.process.wait(30)

    def _family(self) -> list[psutil.Process]:
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]


@contextmanager
def served(command: list[str], announced: str | None, ready: str, url: str = "", **variables: str) -> Iterator[Served]:
    """A server, ready; its address is what it announces, or ``url``."""
    with tempfile.TemporaryFile("w+") as log:
        path = f"{BINARY}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
        environment = (
            os.environ | {"SIGNAAL_BUNDLE": "released", "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])} | variables
        )
        server = Served(url, subprocess.Popen(command, stderr=log, stdout=log, env=environment))
        try:
            for _ in range(1800):
                time.sleep(0.2)
                log.seek(0)
                said = log.read()
                assert server.process.poll() is None, said
                found = re.search(announced, said) if announced else None
                server.url = found[1] if found else server.url
                if server.url and _answers(server.url + ready):
                    break
            yield server
        finally:
            server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
