"""What a job has done so far, on disk, such that a kill at any moment costs no line and writes none twice.

Results and rejected lines are appended to two partial files; after each batch both are synced, and then a small state
file is replaced in one step. It says how long the partial files are and where in the input to go on; what is longer
after a kill is cut off. The output gets its name only when it is complete.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ValidationError

from serving.bulk.records import Place
from serving.errors import BulkError
from serving.file_lock import try_lock


class JobKey(BaseModel):
    """What must be the same for a job to be continued."""

    input_sha256: str
    input_format: str
    columns: str
    labels: list[str]
    evidence: bool
    max_characters: int
    bundle_digest: str


class State(BaseModel):
    """The state file."""

    key: JobKey
    done: int = 0
    line: int = 0
    scored: int = 0
    rejected: int = 0
    seconds: float = 0.0
    present: dict[str, int] = {}
    uncertain: dict[str, int] = {}
    output_bytes: int = 0
    rejected_bytes: int = 0
    complete: bool = False


class Paths:
    """The files that a job with the output ``out`` makes."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rejected = out.with_name(out.name + ".rejected.ndjson")
        self.partial = out.with_name(out.name + ".partial")
        self.rejected_partial = out.with_name(out.name + ".rejected.partial")
        self.state = out.with_name(out.name + ".state.json")
        self.new_state = out.with_name(out.name + ".state.new")
        self.converting = out.with_name(out.name + ".converting")

    def already_done(self, *, resume: bool) -> bool:
        """Whether the output is there from an earlier run, so that ``resume`` has nothing to do.

        Raises:
            BulkError: something is there that a new job would overwrite, or the folder is not there.
        """
        if not self.out.parent.is_dir():
            raise BulkError(f"There is no folder {self.out.parent} for the output.")
        if resume:
            return self.out.exists() and not self.state.exists()
        if self.state.exists():
            raise BulkError(f"A stopped job is there: continue it with --resume, or delete {self.state} to begin anew.")
        for path in (self.out, self.rejected):
            if path.exists():
                raise BulkError(f"{path} is there already; delete it or choose another name.")
        return False


class Journal:
    """The files of one running job. Use ``with``; only one process at a time gets it."""

    def __init__(self, paths: Paths, state: State) -> None:
        self.paths, self.state = paths, state
        self._output = _append_to(paths.partial, state.output_bytes)
        try:
            self._rejected = _append_to(paths.rejected_partial, state.rejected_bytes)
        except BaseException:
            self._output.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()
        self._rejected.close()

    @property
    def place(self) -> Place:
        return Place(self.state.done, self.state.line)

    def add(self, line: str) -> None:
        """Write a result; it counts after ``commit``."""
        self._output.write(line.encode("utf-8") + b"\n")
        self.state.scored += 1

    def reject(self, line: int, reason: str, kept: Mapping[str, Any]) -> None:
        """Write a rejected line with its reason; it counts after ``commit``."""
        entry = {"line": line, "reason": reason, **kept}
        self._rejected.write(json.dumps(entry, ensure_ascii=False, default=repr).encode("utf-8") + b"\n")
        self.state.rejected += 1

    def commit(self, place: Place, seconds: float) -> None:
        """Make everything written so far count, and ``place`` the one to go on from."""
        for file in (self._output, self._rejected):
            file.flush()
            os.fsync(file.fileno())
        state = self.state
        state.done, state.line = place.done, place.line
        state.seconds += seconds
        state.output_bytes, state.rejected_bytes = self._output.tell(), self._rejected.tell()
        self._save()

    def complete(self) -> None:
        """Say that the input is at its end; ``finish`` is next."""
        self.state.complete = True
        self._save()

    def _save(self) -> None:
        with self.paths.new_state.open("w", encoding="utf-8") as file:
            file.write(self.state.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        self.paths.new_state.replace(self.paths.state)


def finish(paths: Paths, state: State, convert: Callable[[Path, Path], None] | None) -> None:
    """Give the files of a complete job their names. May be stopped at any point and done again.

    Args:
        convert: makes the output's own format from the partial NDJSON file; None where it is NDJSON.
    """
    if state.rejected == 0:
        paths.rejected_partial.unlink(missing_ok=True)
    elif paths.rejected_partial.exists():
        paths.rejected_partial.replace(paths.rejected)
    if convert is None and paths.partial.exists():
        paths.partial.replace(paths.out)
    elif convert is not None and paths.partial.exists():
        convert(paths.partial, paths.converting)
        paths.converting.replace(paths.out)
        paths.partial.unlink()
    paths.state.unlink()


def read_state(path: Path, key: JobKey) -> State:
    """The state of the job that was stopped, or of a new one.

    Raises:
        BulkError: the stopped job was another one.
    """
    try:
        state = State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State(key=key)
    except ValidationError as error:
        raise BulkError(f"{path} is not a job's state; delete it to begin anew.") from error
    different = [name.replace("_", " ") for name, value in key if getattr(state.key, name) != value]
    if different:
        raise BulkError(
            f"The stopped job cannot be continued, because this differs: {', '.join(different)}. "
            f"Use the same file, options and model, or delete {path} to begin anew."
        )
    return state


def _append_to(path: Path, size: int) -> BinaryIO:
    """Open for appending after ``size`` bytes, cutting off the rest; alone.

    Raises:
        BulkError: another process has it, or it is shorter than the state says.
    """
    file = path.open("ab")
    try:
        try_lock(file)
        if os.fstat(file.fileno()).st_size < size:
            raise BulkError(f"{path} lost data since the job was stopped; delete the .state.json beside it to begin anew.")
        file.truncate(size)
        file.seek(size)  # or tell() goes on from the old end until something is written
    except BlockingIOError as error:
        file.close()
        raise BulkError(f"Another process is writing {path}; wait until it has ended.") from error
    except BaseException:
        file.close()
        raise
    return file
