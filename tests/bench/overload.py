"""What the service does when twice as much comes as it can score, for ten minutes.

    make bench-overload            (--minutes 1 for a look)

First as many requests as it answers are sent by clients that wait for their answers: that is saturation. Then requests come at
twice that rate, whatever becomes of those before (an open loop), each with its own ids and texts drawn at random. Every answer is
held against the scores that the same bundle gives in this process. The load comes from the machine that serves. Exit code 1 when
a bound is broken: see ``broken_bounds``.
"""

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import RELEASED, open_bundle
from models.runtime import Scorer
from models.settings import ModelSettings
from tests.bench.service import BINARY, Served, score_body, served

TEXTS = 5000
"""Enough for few in a full line to be the same; those would be scored once."""
PER_REQUEST = 4
SATURATING_CLIENTS = 16
TOLERANCE = 1e-4
ALONE = 100
WARM_UP = 60
"""Seconds in which memory may grow, while the line fills; half of a shorter run."""
LEAST_SAMPLES = 10
MOST_GROWTH = 0.05
"""Of the memory after the warm-up, from then to the end, by a line fitted through all samples."""
MOST_SLOWER = 1.5
"""The p95 of single requests after the load, by that before."""


@dataclass
class Seen:
    """What came back under load."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Of those that were scored."""
    refused_seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    """Answers with another id or another score than the ad's own."""
    without_retry_after: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    """Requests that got no answer, by the kind of error."""
    memory: list[float] = field(default_factory=list)
    """GB, one a second."""
    drained: float = 0.0
    """Seconds from the last arrival to the last answer."""


@dataclass
class Load:
    """Requests with known answers."""

    url: str
    texts: list[str]
    expected: list[dict[str, float]]
    session: httpx.AsyncClient
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def request(self, seen: Seen) -> None:
        rows = {f"{next(self.numbers)}": self.chance.randrange(len(self.texts)) for _ in range(PER_REQUEST)}
        body = {"ads": [{"id": name, "text": self.texts[row]} for name, row in rows.items()], "evidence": False}
        began = time.perf_counter()
        try:
            answer = await self.session.post(self.url, json=body)
        except httpx.HTTPError as error:
            seen.broken[type(error).__name__] += 1
            return
        seconds = time.perf_counter() - began
        seen.statuses[answer.status_code] += 1
        if answer.status_code == 503:
            seen.refused_seconds.append(seconds)
            seen.without_retry_after += "retry-after" not in answer.headers
        elif answer.status_code == 200:
            seen.seconds.append(seconds)
            results = answer.json()["results"]
            seen.wrong += [one["id"] for one in results] != list(rows)
            seen.wrong += sum(self._differs(one, self.expected[rows[one["id"]]]) for one in results)

    def _differs(self, result: dict[str, dict[str, dict[str, float]]], expected: dict[str, float]) -> bool:
        found = result["indicators"]
        return any(abs(found[label]["probability"] - probability) > TOLERANCE for label, probability in expected.items())

    async def saturation(self, seconds: float) -> float:
        """Ads a second."""
        seen, end = Seen(), time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < end:
                await self.request(seen)

        await asyncio.gather(*(client() for _ in range(SATURATING_CLIENTS)))
        assert not seen.wrong
        return len(seen.seconds) * PER_REQUEST / seconds

    async def overload(self, ads_a_second: float, seconds: float, server: Served) -> Seen:
        seen, running = Seen(), set[asyncio.Task[None]]()
        began = time.perf_counter()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("overload", total=seconds)
            for number in itertools.count():
                due = began + number * PER_REQUEST / ads_a_second
                if due - began > seconds:
                    break
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                request = asyncio.create_task(self.request(seen))
                running.add(request)
                request.add_done_callback(running.discard)
                if len(seen.memory) < time.perf_counter() - began:
                    seen.memory.append(server.memory())
                    progress.update(task, completed=time.perf_counter() - began)
        ended = time.perf_counter()
        await asyncio.gather(*running)
        seen.drained = time.perf_counter() - ended
        return seen

    async def alone(self) -> list[float]:
        """Seconds of requests that come one after the other."""
        seen = Seen()
        for _ in range(ALONE):
            await self.request(seen)
        assert (seen.statuses[200], seen.wrong) == (ALONE, 0), seen.statuses
        return seen.seconds


def known_scores() -> tuple[list[str], list[dict[str, float]]]:
    """Texts, and the probability of each indicator."""
    texts = [item.example.text for item in read_corpus(corpus_paths()) if item.example.split != "test"]
    texts = random.Random(0).sample(texts, TEXTS)
    scores = Scorer.of_bundle(open_bundle(RELEASED), ModelSettings()).score(texts, evidence=False)
    return texts, [{label: one.probability for label, one in score.indicators.items()} for score in scores]


def broken_bounds(seen: Seen, before: list[float], after: list[float]) -> list[str]:
    """What was not as it must be, in words; nothing when all was well.

    Args:
        seen: what came back under load.
        before: seconds of single requests before the load.
        after: likewise after it.
    """
    found = []
    if others := {status: count for status, count in seen.statuses.items() if status not in (200, 503)}:
        found.append(f"other statuses than 200 and 503: {others}")
    if not seen.statuses[200]:
        found.append("nothing was scored")
    if not seen.statuses[503]:
        found.append("nothing was refused: this was no overload")
    if seen.broken:
        found.append(f"requests without an answer: {dict(seen.broken)}")
    if seen.without_retry_after:
        found.append(f"503 without Retry-After: {seen.without_retry_after}")
    if seen.wrong:
        found.append(f"wrong or mixed answers: {seen.wrong}")
    steady = seen.memory[_warm(seen.memory) :]
    if len(steady) < LEAST_SAMPLES:
        found.append(f"memory was looked at {len(steady)} times after the warm-up; {LEAST_SAMPLES} are needed")
    elif (growth := _growth(steady)) > MOST_GROWTH * steady[0]:
        found.append(f"memory grew by {growth:.2f} GB after the warm-up")
    if (slower := float(np.percentile(after, 95) / np.percentile(before, 95))) > MOST_SLOWER:
        found.append(f"single requests after the load took {slower:.1f} times as long as before (p95)")
    return found


async def measure(server: Served, minutes: float, console: Console) -> list[str]:
    """Prints what it saw; returns which bounds are broken."""
    texts, expected = known_scores()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    async with httpx.AsyncClient(timeout=120, limits=limits) as session:
        load = Load(f"{server.url}/v1/score", texts, expected, session)
        await session.post(load.url, json=score_body(texts[:8]))
        before = await load.alone()
        rate = await load.saturation(20)
        console.print(f"saturated at {rate:.1f} ads/s; now {2 * rate:.1f} ads/s for {minutes:g} minutes")
        seen = await load.overload(2 * rate, minutes * 60, server)
        after = await load.alone()
    table = Table("what", "", title=f"{minutes:g} minutes at twice the saturation")
    for name, value in (
        ("requests by status", ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))),
        ("requests without an answer", str(dict(seen.broken) or 0)),
        ("503 without Retry-After", f"{seen.without_retry_after}"),
        ("wrong or mixed answers", f"{seen.wrong} of {len(seen.seconds) * PER_REQUEST:,} ads"),
        ("ads/s answered", f"{len(seen.seconds) * PER_REQUEST / (minutes * 60):.1f} of {2 * rate:.1f} that came"),
        ("scored: p50, p95, p99", _percentiles(seen.seconds)),
        ("refused: p50, p95, p99", _percentiles(seen.refused_seconds)),
        ("last answer after the last arrival", f"{seen.drained:.1f} s"),
        ("memory: warm, growth since, most", _memory(seen.memory)),
        ("one request alone, before: p50, p95, p99", _percentiles(before)),
        ("one request alone, after: p50, p95, p99", _percentiles(after)),
    ):
        table.add_row(name, value)
    console.print(table)
    return broken_bounds(seen, before, after)


def _percentiles(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1000:,.0f} ms" for value in np.percentile(seconds, [50, 95, 99])) if seconds else "–"


def _memory(each_second: list[float]) -> str:
    steady = each_second[_warm(each_second) :]
    return f"{steady[0]:.2f}, {_growth(steady):.3f}, {max(each_second):.2f} GB" if len(steady) > 1 else "–"


def _warm(each_second: list[float]) -> int:
    return min(WARM_UP, len(each_second) // 2)


def _growth(each_second: list[float]) -> float:
    """GB from the first to the last, by the slope of the line through all."""
    slope = np.polyfit(np.arange(len(each_second)), each_second, 1)[0]
    return float(slope * (len(each_second) - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    console = Console(width=120)
    with served([str(BINARY / "signaal-serve"), "api", "--port", "0"], r"listens on (http://\S+) ", "/readyz") as server:
        broken = asyncio.run(measure(server, options.minutes, console))
    for bound in broken:
        console.print(f"broken: {bound}", style="red")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
