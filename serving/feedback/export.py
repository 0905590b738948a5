"""Hands stored feedback to labelling: a file of its records, in order, each checked."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from serving.errors import OutboxError
from serving.feedback.backlog import note_exported
from serving.feedback.segments import stored_requests, sync_folder

log = logging.getLogger("signaal.serve")


@dataclass(frozen=True, slots=True)
class Exported:
    """How many records went out; the first and last of them, both ``after`` when there were none."""

    count: int
    first: int
    last: int


def export(folder: Path, out: Path, after: int = 0) -> Exported:
    """Write the records after the sequence number ``after`` to ``out``, which gets its name when it is complete.

    A server may go on storing meanwhile; what is exported is on disk for good.

    Raises:
        OutboxError: there is no such folder, the output is there already, or something is damaged.
    """
    check_folder(folder)
    if out.exists():
        raise OutboxError(f"{out} is there already; delete it or choose another name.")
    partial = out.with_name(out.name + ".partial")
    count, first, last = 0, after, after
    # For the owner's eyes: feedback may hold texts.
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        for request in stored_requests(folder, after):
            for one in request:
                if one.record.seq > after:
                    file.write(one.line)
                    first = first if count else one.record.seq
                    count, last = count + 1, one.record.seq
        file.flush()
        os.fsync(file.fileno())
    partial.replace(out)
    sync_folder(out.parent)
    try:
        note_exported(folder, last)
    except OSError as error:  # a copy that may only be read; the export itself is done
        log.warning("%s: what was exported could not be noted (%s).", folder, error.strerror)
    return Exported(count, first, last)


def check_folder(folder: Path) -> None:
    """Refuse what is no folder of feedback.

    Raises:
        OutboxError: says which setting names it.
    """
    if not folder.is_dir():
        raise OutboxError(f"There is no folder {folder}; SIGNAAL_SERVE_FEEDBACK_DIR names the one that the server writes.")
