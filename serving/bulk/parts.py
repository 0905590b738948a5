"""Finds the parts of a job: the files of a folder or of a pattern, and where the result of each goes."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from serving.bulk.job import SUFFIXES, Format
from serving.bulk.journal import Paths
from serving.errors import BulkError


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the input. ``name`` is its place below the folder, with ``/``; the result has the same place in the output."""

    name: str
    source: Path
    out: Path
    size: int
    modified_ns: int

    @property
    def done(self) -> bool:
        """Whether its result is whole. What a kill leaves behind has other names, or still its state file."""
        paths = Paths(self.out)
        return self.out.exists() and not paths.state.exists()

    @property
    def lock_name(self) -> str:
        """A file name of its own, however long and deep ``name`` is."""
        return sha256(self.name.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Found:
    """The parts in order of their names, and the files that were passed over because their names say no format."""

    parts: list[Part]
    passed_over: list[Path]


def find_parts(source: str, out: Path, out_format: Format, source_format: Format | None) -> Found:
    """The files of a folder, at any depth, or of a pattern such as ``ads/*.parquet`` (``**`` is any depth).

    What begins with ``.`` or ``_`` is not data, as Hadoop, Spark and Hive have it.

    Args:
        source_format: take every file, and read it as this; by default a file's name says its format.

    Raises:
        BulkError: there is nothing to score, or two parts would have one result.
    """
    folder, pattern = _split(source)
    folder = folder.absolute()
    out = out.absolute()
    if out.resolve().is_relative_to(folder.resolve()):
        raise BulkError(f"{out} lies in the folder that is read, {folder}; choose an output elsewhere.")
    parts: dict[Path, Part] = {}
    passed_over: list[Path] = []
    for file in sorted(_files(folder, pattern)):
        if source_format is None and file.suffix.lower() not in SUFFIXES:
            passed_over.append(file)
            continue
        relative, facts = file.relative_to(folder), file.stat()
        result = out / relative.with_suffix(f".{out_format}")
        if result in parts:
            raise BulkError(f"{parts[result].source} and {file} would both be written to {result}; rename one.")
        parts[result] = Part(relative.as_posix(), file, result, facts.st_size, facts.st_mtime_ns)
    if not parts:
        raise BulkError(f"There is no file to score in {source}. A name should end in {', '.join(SUFFIXES)}.")
    return Found([*parts.values()], passed_over)


def _split(source: str) -> tuple[Path, str | None]:
    """The folder that all files are in, and the pattern below it if there is one."""
    path = Path(source)
    if path.is_dir():
        return path, None
    parts = path.parts
    first = next((index for index, one in enumerate(parts) if glob.has_magic(one)), len(parts) - 1)
    return Path(*parts[:first]), str(Path(*parts[first:]))


def _files(folder: Path, pattern: str | None) -> Iterator[Path]:
    for file in folder.glob(pattern or "**/*"):
        if file.is_file() and not any(one.startswith((".", "_")) for one in file.relative_to(folder).parts):
            yield file
