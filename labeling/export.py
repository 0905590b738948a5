"""From opinions to a labelled-examples file that ``signaal-train run`` reads, fixed once and for all.

An export is a folder named after the SHA-256 of its examples: ``examples.jsonl``, ``examples.md`` (what it is, for the
model card) and ``manifest.json``. The digest is that of the file among the dataset inputs that a training run logs to MLflow,
so a model leads back to the labels it was made from. The same labels give the same digest, whenever and in whatever order
they are given.

Near-duplicates are one scenario and so in one split, decided by a hash of the group alone: more ads never move an old one.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from labeling.annotation import Annotation
from labeling.consensus import Consensus
from labeling.corpus_files import split_of
from labeling.errors import ExportError, UnsettledError
from models.example import LabelledExample
from models.taxonomy import Taxonomy

EXAMPLES = "examples.jsonl"
MANIFEST = "manifest.json"


class Provenance(BaseModel):
    """Where the labels of an example come from; accounts by id, no names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = ""
    """How the ad came in, as its import said."""
    annotators: tuple[str, ...] = ()
    suggested_by: dict[str, str] = {}
    """Annotator → digest of the bundle whose suggestions they were shown; who is not in it read without."""
    adjudicator: str | None = None
    decided_at: datetime | None = None


class FinalExample(LabelledExample):
    """A labelled example with who made it; training reads all but that."""

    provenance: Provenance = Provenance()


class ExportManifest(BaseModel):
    """What an export is, beside its examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    digest: str = Field(description="SHA-256 of examples.jsonl.")
    created_at: datetime
    taxonomy: str = Field(description="Version of the taxonomy.")
    examples: int
    splits: dict[str, int]
    languages: dict[str, int]
    labels: dict[str, int] = Field(description="Examples that have each label.")
    annotators: int
    adjudicated: int
    suggested: int = Field(default=0, description="Examples of which some annotator was shown what a model suggests.")
    settings: dict[str, JsonValue] = Field(default={}, description="What was asked for, as the caller gave it.")


def final_example(
    agreed: Consensus,
    adjudication: Annotation | None = None,
    *,
    text: str,
    language: str,
    group: str | None,
    taxonomy: Taxonomy,
    source: str = "",
    suggested_by: Mapping[str, str] | None = None,
) -> FinalExample:
    """The example of an ad: what the adjudicator said, or else what the annotators agree on.

    A label that some annotator saw and that is finally absent is a hard negative: it looked like one. Without a group the text
    itself is the scenario, so that the same text twice is never in two splits. ``shares`` has the labels on which not all say
    the same; an adjudicator's word weighs as much there as those of all annotators together, so a target is never on the
    other side of what was decided.

    Args:
        agreed: what the annotators make of it.
        adjudication: what the adjudicator said, if one was asked.
        text: the ad, contact details masked.
        language: its language.
        group: of its near-duplicates; None for an ad that is like no other.
        taxonomy: the labels that must all be judged.
        source: how the ad came in.
        suggested_by: annotator → digest of the bundle whose suggestions they were shown.

    Raises:
        UnsettledError: the ad is not settled, its adjudicator could not decide, or a label was judged by nobody.
    """
    if adjudication is None and not agreed.settled:
        message = f"Ad {agreed.ad_id} is not settled: an adjudicator must decide, or more annotators."
        raise UnsettledError(message, "on which reviewers differ")
    if adjudication is not None and not adjudication.decided:
        message = f"Ad {agreed.ad_id} could not be decided by its adjudicator either; leave it out."
        raise UnsettledError(message, "on which the adjudicator could not decide either")
    labels = agreed.labels if adjudication is None else {**agreed.labels, **adjudication.labels}
    if missing := [label for label in taxonomy.label_ids if label not in labels]:
        message = f"Ad {agreed.ad_id}: nobody judged {', '.join(missing)}; left as they are they would count as absent."
        raise UnsettledError(message, "of which nobody judged some label; an adjudicator can")
    spans = agreed.spans if adjudication is None else adjudication.spans
    scenario = f"ads-{group or hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return FinalExample(
        id=agreed.ad_id,
        text=text,
        lang=language,
        labels=[label for label in taxonomy.label_ids if labels[label]],
        spans=sorted(spans, key=lambda s: (s.start, s.end, s.label)),
        hard_negatives=[label for label in taxonomy.label_ids if not labels[label] and agreed.shares.get(label, 0) > 0],
        document_type=agreed.document_type if adjudication is None else adjudication.document_type,
        scenario=scenario,
        split=split_of(scenario),
        shares=_shares(agreed, {} if adjudication is None else adjudication.labels, taxonomy) or None,
        provenance=Provenance(
            source=source,
            annotators=agreed.annotators,
            suggested_by={who: digest for who, digest in (suggested_by or {}).items() if who in agreed.annotators},
            adjudicator=None if adjudication is None else adjudication.annotator,
            decided_at=None if adjudication is None else adjudication.saved_at,
        ),
    )


def _shares(agreed: Consensus, decided: Mapping[str, bool], taxonomy: Taxonomy) -> dict[str, float]:
    shares = {label: agreed.shares[label] for label in taxonomy.label_ids if label in agreed.shares}
    weighed = {label: (share + decided[label]) / 2 if label in decided else share for label, share in shares.items()}
    return {label: round(share, 4) for label, share in weighed.items() if 0 < share < 1}


def write_export(
    examples: Iterable[FinalExample],
    folder: Path,
    *,
    taxonomy: Taxonomy,
    settings: Mapping[str, JsonValue] | None = None,
) -> ExportManifest:
    """Write an export below ``folder``; ``export_folder`` says where. One that is there already stays as it is.

    Raises:
        ExportError: no example, an id twice, or the folder cannot be written.
    """
    ordered = sorted(examples, key=lambda e: e.id)
    if not ordered:
        raise ExportError("There is nothing to export: no ad is settled yet.")
    twice = [a.id for a, b in pairwise(ordered) if a.id == b.id]
    if twice:
        raise ExportError(f"Two examples have the id {twice[0]}.")
    content = "".join(
        json.dumps(e.model_dump(mode="json", exclude_none=True), ensure_ascii=False, sort_keys=True) + "\n" for e in ordered
    ).encode()
    digest = hashlib.sha256(content).hexdigest()
    place = export_folder(folder, digest)
    if place.exists():
        return read_export(place)
    manifest = ExportManifest(
        digest=digest,
        created_at=datetime.now(UTC),
        taxonomy=taxonomy.version,
        examples=len(ordered),
        splits=_counts(e.split or "" for e in ordered),
        languages=_counts(e.lang for e in ordered),
        labels={label: sum(label in e.labels for e in ordered) for label in taxonomy.label_ids},
        annotators=len({annotator for e in ordered for annotator in e.provenance.annotators}),
        adjudicated=sum(e.provenance.adjudicator is not None for e in ordered),
        suggested=sum(bool(e.provenance.suggested_by) for e in ordered),
        settings=dict(settings or {}),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))  # for the owner's eyes: it holds texts
        try:
            _write(partial / EXAMPLES, content)
            _write(partial / MANIFEST, manifest.model_dump_json(indent=2).encode())
            _write((partial / EXAMPLES).with_suffix(".md"), _description(manifest).encode())
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if place.exists():  # another process made the same export meanwhile
            return read_export(place)
        raise ExportError(f"The export cannot be written to {folder}: {error.strerror}.") from error
    return manifest


def export_folder(folder: Path, digest: str) -> Path:
    """Where the export with this digest is."""
    return folder / digest[:16]


def read_export(place: Path) -> ExportManifest:
    """The manifest of an export whose examples are what they were.

    Raises:
        ExportError: a file is missing or was changed.
    """
    try:
        manifest = ExportManifest.model_validate_json((place / MANIFEST).read_bytes())
        content = (place / EXAMPLES).read_bytes()
    except OSError as error:
        raise ExportError(f"The export {place} is not whole: {error.filename} cannot be read.") from error
    except ValidationError as error:
        raise ExportError(f"{place / MANIFEST} is no manifest of an export.") from error
    if hashlib.sha256(content).hexdigest() != manifest.digest:
        raise ExportError(f"{place / EXAMPLES} was changed after it was exported. Export again; do not train on it.")
    return manifest


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    path.chmod(0o400)


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _description(manifest: ExportManifest) -> str:
    sizes = ", ".join(f"{count} {split}" for split, count in manifest.splits.items())
    languages = ", ".join(f"{language} {count}" for language, count in manifest.languages.items())
    return (
        f"Ads labelled by {manifest.annotators} reviewers with taxonomy {manifest.taxonomy}; contact details were masked before "
        f"anyone read them. {manifest.examples} examples ({sizes}); languages: {languages}. An adjudicator decided "
        f"{manifest.adjudicated} of them; on the others all reviewers agree. Of {manifest.suggested} some reviewer was "
        "shown what a model suggests. Near-duplicates share a split.\n"
    )
