"""Score what a crawler writes: a folder of NDJSON files in, a file of results out.

    python -m serving.examples.crawler crawled/ results.ndjson --url http://127.0.0.1:8080

A crawler puts files ``*.ndjson`` into the folder (each under another name first, then renamed, so that none is read half
written): a line an ad, ``{"id": …, "text": …, "language": …}``, the id unique over all files. Each result is a line:
id, model, and the labels that are present or uncertain, with probability and the places of the words (offsets). **No
text is written**: who looks at an ad finds it by its id, where the crawler keeps it.

It may be stopped at any moment, also by a power cut: started again, it goes on where it was. What is done is what stands in the
results, and a line cut in half there is removed and made again. Nothing is scored twice but what was under way. An ad is written
off as refused only where its own text cannot be scored. When the key's day is used up, say, the ads that are left get no result:
the program ends with an error that says when to start it again.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from serving.answers import LineOut
from serving.client import ClientError, ProblemResponse, RefusedLine, SignaalClient

WRITE_EVERY = 100
"""Results between two writes that survive a power cut."""


def main() -> None:
    """The program: exit code 0 when all is scored or refused, 1 when some ads have no result yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where the crawler puts *.ndjson")
    parser.add_argument("results", type=Path, help="where results go; continued when it is there")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the service; the key is in SIGNAAL_API_KEY")
    options = parser.parse_args()
    try:
        scored, refused = score_folder(options.folder, options.results, options.url)
    except ClientError as error:
        later = f" in {error.retry_after:.0f} s" if isinstance(error, ProblemResponse) and error.retry_after else ""
        sys.exit(f"error: {error} What is scored is kept, and the rest is for the next run: start again{later} to go on.")
    sys.stderr.write(f"{scored} scored, {refused} refused; results: {options.results}\n")


def score_folder(folder: Path, results: Path, url: str) -> tuple[int, int]:
    """Score all ads in ``folder`` that have no result yet.

    Returns:
        How many were scored, and how many refused, in this run.

    Raises:
        ClientError: the service cannot be used (any more); what was answered before is written.
    """
    counts = [0, 0]
    done = _done(results)
    with SignaalClient(url) as client, results.open("ab") as out:
        client.ready(timeout=60)
        try:
            for answer in client.score_stream(_ads(folder, done), order="done"):
                counts[isinstance(answer, RefusedLine)] += 1
                out.write(json.dumps(_result(answer)).encode() + b"\n")
                if sum(counts) % WRITE_EVERY == 0:
                    _keep(out)
        finally:
            _keep(out)
    return counts[0], counts[1]


def _done(results: Path) -> set[str]:
    """Ids that have a result; a last line that was cut off is removed from the file."""
    if not results.exists():
        return set()
    done, whole = set(), 0
    with results.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            done.add(json.loads(line)["id"])
            whole += len(line)
        file.truncate(whole)
    return done


def _ads(folder: Path, done: set[str]) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.ndjson")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    ad = json.loads(line)
                    fields = {name: ad[name] for name in ("id", "text", "language") if name in ad}
                    wanted = str(fields["id"]) not in done
                except (ValueError, LookupError, TypeError):
                    sys.stderr.write(f"{path.name} line {number} is no ad with an id; passed over\n")  # and not repeated
                    continue
                if wanted:
                    yield fields


def _result(answer: LineOut | RefusedLine) -> dict[str, Any]:
    if isinstance(answer, RefusedLine):
        return {"id": answer.id, "refused": answer.problem.detail}
    labels = {
        name: {
            "status": one.status,
            "probability": round(one.probability, 4),
            "places": [[span.start, span.end] for span in one.evidence],
        }
        for name, one in (answer.indicators | answer.counter_indicators).items()
        if one.status != "absent"
    }
    return {"id": answer.id, "model": answer.model.bundle_digest, "language": answer.language.code, "labels": labels}


def _keep(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


if __name__ == "__main__":
    main()
