"""A job over many files: what must be the same when it is continued, and which parts are left."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from models.registry import RELEASED_NAME, bundle_at, where
from models.settings import ModelSettings
from serving.bulk.job import Format, wanted_labels
from serving.bulk.parts import Part
from serving.errors import BulkError
from serving.file_lock import try_lock
from serving.records import Columns


@dataclass(frozen=True, slots=True)
class PartsJob:
    """What to score, and where to."""

    parts: Sequence[Part]
    out: Path
    source_format: Format | None
    out_format: Format
    columns: Columns
    labels: tuple[str, ...] | None = None
    evidence: bool = True
    resume: bool = False


class PartsKey(BaseModel):
    """What must be the same for all parts."""

    source_format: str | None
    out_format: str
    columns: str
    labels: list[str]
    evidence: bool
    max_characters: int
    bundle_digest: str


class Record(BaseModel):
    """The file ``_job.json``. ``parts`` holds size and time of change of each part that was ever listed."""

    key: PartsKey
    parts: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """The model that all workers use, named such that it cannot become another one meanwhile."""

    place: str
    bundle_digest: str
    label_ids: tuple[str, ...]


def pin_model(settings: ModelSettings) -> PinnedModel:
    """Find the model, without loading it; an alias becomes the version it names now.

    Raises:
        ModelError: it is not there, or broken.
    """
    place = where(settings) or RELEASED_NAME
    if place != RELEASED_NAME and not place.startswith("models:/"):
        place = str(Path(place).absolute())
    with tempfile.TemporaryDirectory(prefix="signaal-") as scratch:
        bundle = bundle_at(place, settings, Path(scratch))
        return PinnedModel(place, bundle.identity.bundle_digest, bundle.taxonomy.label_ids)


@dataclass(slots=True)
class Totals:
    """What came of a job: ``before`` parts were done when it began, ``parts`` became so; ``failed`` says of others why not."""

    labels: list[str]
    before: int
    parts: int = 0
    scored: int = 0
    rejected: int = 0
    seconds: float = 0.0
    present: Counter[str] = field(default_factory=Counter)
    uncertain: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, scored: int, rejected: int, present: Mapping[str, int], uncertain: Mapping[str, int]) -> None:
        """Count a part that is done."""
        self.parts += 1
        self.scored += scored
        self.rejected += rejected
        self.present.update(present)
        self.uncertain.update(uncertain)


class PartsFolder:
    """The folder of results, taken for one process as long as ``with`` lasts."""

    def __init__(self, job: PartsJob, model: PinnedModel, max_characters: int) -> None:
        self._job, self.labels = job, wanted_labels(job.labels, model.label_ids)
        self._key = PartsKey(
            source_format=job.source_format,
            out_format=job.out_format,
            columns=repr(job.columns),
            labels=self.labels,
            evidence=job.evidence,
            max_characters=max_characters,
            bundle_digest=model.bundle_digest,
        )
        self._record, self._lock = job.out / "_job.json", job.out / "_job.lock"
        self.running = job.out / "_running"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        out = self._job.out
        if not out.parent.is_dir():
            raise BulkError(f"There is no folder {out.parent} for the output.")
        out.mkdir(exist_ok=True)
        with ExitStack() as opened:
            file = opened.enter_context(self._lock.open("ab"))
            try:
                try_lock(file)
            except BlockingIOError:
                raise BulkError(f"Another process is writing to {out}; wait until it has ended.") from None
            self._write_record()
            self.running.mkdir(exist_ok=True)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def clear(self) -> None:
        """Remove the locks of the parts, once no worker is left."""
        shutil.rmtree(self.running)

    def _write_record(self) -> None:
        known = self._known()
        now = {part.name: (part.size, part.modified_ns) for part in self._job.parts}
        changed = sorted(name for name, facts in known.items() if now.get(name, facts) != facts)
        if changed:
            raise BulkError(
                f"The stopped job cannot be continued, because {_some(changed)} changed since it began. "
                "Choose another output to score everything anew."
            )
        new = self._record.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(Record(key=self._key, parts=known | now).model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._record)
        for folder in {part.out.parent for part in self._job.parts}:
            folder.mkdir(parents=True, exist_ok=True)

    def _known(self) -> dict[str, tuple[int, int]]:
        try:
            record = Record.model_validate_json(self._record.read_bytes())
        except FileNotFoundError:
            others = [file.name for file in self._job.out.iterdir() if file != self._lock]
            if others:
                raise BulkError(f"{self._job.out} holds other files ({_some(others)}); choose a folder that is new.") from None
            return {}
        except ValidationError as error:
            raise BulkError(f"{self._record} is not a job's record; choose another output.") from error
        if not self._job.resume:
            raise BulkError(f"{self._job.out} holds a job already: continue it with --resume, or choose another output.")
        different = [name.replace("_", " ") for name, value in self._key if getattr(record.key, name) != value]
        if different:
            raise BulkError(
                f"The job in {self._job.out} cannot be continued, because this differs: {', '.join(different)}. "
                "Use the same options and model, or choose another output."
            )
        return record.parts


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
