"""Scores the parts of a job with the workers of a Ray cluster, through Ray Data.

A row of the dataset is a part, not an ad: a worker reads and writes the files itself, so no ad passes through Ray's object
store (which spills to disk) or its logs, and a part comes out byte for byte as it does on one machine. What was given up: the
folders must be seen by all workers under one path, and one large file is not shared out.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from models.settings import ModelSettings
from serving.bulk.journal import Paths, State
from serving.bulk.part_scorer import PartResult, PartScorer, PartsTask
from serving.bulk.parts import Part
from serving.bulk.parts_job import PartsFolder, PartsJob, Totals, pin_model
from serving.errors import BulkError
from serving.settings import ServingSettings

LOOK_SECONDS = 2
REACH_SECONDS = 10
OBJECT_STORE_BYTES = 100 * 1024 * 1024
WORKERS_SETTINGS = ("max_characters", "bulk_batch", "bulk_max_line_bytes")


def score_parts(
    job: PartsJob,
    model_settings: ModelSettings,
    settings: ServingSettings,
    console: Console,
    *,
    address: str | None = None,
    workers: int | None = None,
) -> Totals:
    """Score the parts that are not done yet.

    Args:
        address: of a Ray cluster, ``HOST:PORT`` or ``auto``; None starts one on this machine for the time of the job.
        workers: how many scorers; None: as many as the cluster has cores for.

    Raises:
        BulkError: Ray or a folder cannot be used, or no part can be scored.
        ModelError: the model cannot be had.
    """
    ray = _import_ray()
    model = pin_model(model_settings)
    with PartsFolder(job, model, settings.max_characters) as folder:
        left = [index for index, part in enumerate(job.parts) if not part.done]
        totals = Totals(labels=folder.labels, before=len(job.parts) - len(left))
        if not left:
            return totals
        threads = model_settings.threads or 1
        task = PartsTask(
            place=model.place,
            bundle_digest=model.bundle_digest,
            model_settings=_settings_of_workers(model_settings, threads),
            settings={name: getattr(settings, name) for name in WORKERS_SETTINGS},
            source_format=job.source_format,
            columns=job.columns,
            labels=tuple(folder.labels),
            evidence=job.evidence,
            running=folder.running,
            run=uuid.uuid4().hex,
        )
        left.sort(key=lambda index: -job.parts[index].size)  # the large ones first, so that all workers end at about one time
        began = time.monotonic()
        with _cluster(ray, address, threads, workers, len(left)) as count:
            results = _results(ray, task, job.parts, left, count, threads)
            with _progress(job.parts, folder.running, totals, console) as done:
                for result in results:
                    if result.fatal:
                        raise BulkError(f"No worker can score: {result.failure}")
                    if result.failure is not None:
                        totals.failed[job.parts[result.index].name] = result.failure
                    else:
                        totals.add(result.scored, result.rejected, result.present, result.uncertain)
                    done(result.index)
        totals.seconds = time.monotonic() - began
        folder.clear()
        return totals


def _import_ray() -> Any:
    # Ray reports the use of it to its makers unless told not to, and warns of what it does itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed; scoring on a cluster needs it: from a checkout, pip install '.[ray]'."
        raise BulkError(missing) from error
    return ray


def _settings_of_workers(settings: ModelSettings, threads: int) -> dict[str, Any]:
    given: dict[str, Any] = settings.model_dump(exclude_unset=True) | {"threads": threads}
    uri = settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///"):
        given["mlflow_tracking_uri"] = f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    if "cache_dir" in given:
        given["cache_dir"] = Path(given["cache_dir"]).absolute()
    return given


@contextmanager
def _cluster(ray: Any, address: str | None, threads: int, workers: int | None, parts: int) -> Iterator[int]:
    """Connect to a cluster, or start one here; gives the number of workers."""
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        options["num_cpus"] = workers * threads if workers else None
    try:
        if address is not None and ":" in address:
            _reach(address)
        ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:
        place = f"The Ray cluster {address}" if address else "Ray"
        raise BulkError(f"{place} cannot be used: {' '.join(str(error).split())}") from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        yield min(parts, workers or max(1, cores // threads))
    except ray.exceptions.RayError as error:
        # Its message may be a worker's error, with all that this one says.
        raise BulkError(
            f"Ray gave up the job ({type(error).__name__}). Is the same signaal installed on all its machines, "
            "with enough memory? What is scored is kept; continue with --resume."
        ) from None
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray ends the whole process, with a dump of its stack, where nobody listens."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()


def _results(
    ray: Any, task: PartsTask, parts: Sequence[Part], left: Sequence[int], workers: int, threads: int
) -> Iterator[PartResult]:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [{"index": index} | _row(parts[index]) for index in left]
    scored = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        RowScorer,
        fn_constructor_kwargs={"task": task},
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=threads,
    )
    for row in scored.iter_rows():
        yield PartResult.model_validate_json(row["result"])


def _row(part: Part) -> dict[str, Any]:
    return {"name": part.name, "source": str(part.source), "out": str(part.out), "size": part.size, "modified": part.modified_ns}


class RowScorer:
    """A ``PartScorer`` as Ray Data calls it: a row in, a row out."""

    def __init__(self, task: PartsTask) -> None:
        self._score = PartScorer(task)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, str]:
        part = Part(row["name"], Path(row["source"]), Path(row["out"]), int(row["size"]), int(row["modified"]))
        return {"result": self._score(int(row["index"]), part).model_dump_json()}


@contextmanager
def _progress(parts: Sequence[Part], running: Path, totals: Totals, console: Console) -> Iterator[Callable[[int], None]]:
    """Shows parts and ads; a thread looks meanwhile how far the parts are that are under way. Call what it gives with each
    part that is done."""
    of_lock = {part.lock_name: part for part in parts}
    began, ended = time.monotonic(), threading.Event()
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("Starting the workers", total=sum(part.size for part in parts))
        progress.update(task, completed=sum(part.size for part in parts if part.done))

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                under_way = [of_lock[path.name] for path in running.iterdir() if path.name in of_lock]
                _show(progress, task, totals, under_way, len(parts), time.monotonic() - began)

        def done(index: int) -> None:
            progress.advance(task, parts[index].size)
            _show(progress, task, totals, (), len(parts), time.monotonic() - began)

        watcher = threading.Thread(target=look, name="progress", daemon=True)
        watcher.start()
        try:
            yield done
        finally:
            ended.set()
            watcher.join()


def _show(progress: Progress, task: TaskID, totals: Totals, under_way: Sequence[Part], parts: int, seconds: float) -> None:
    states = [state for part in under_way if (state := _state(part))]
    scored = totals.scored + sum(state.scored for state in states)
    rejected = totals.rejected + sum(state.rejected for state in states)
    words = f"{totals.before + totals.parts} of {parts} parts, {scored} scored, {rejected} rejected, {scored / seconds:.0f}/s"
    progress.update(task, description=words)


def _state(part: Part) -> State | None:
    try:
        return State.model_validate_json(Paths(part.out).state.read_bytes())
    except (OSError, ValueError):
        return None  # it has not begun, or has just ended
