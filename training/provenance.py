"""How a bundle's weights came to be: its ``training.json``, written by whoever trains, carried along by whoever goes on from the
bundle without training (``signaal-train recalibrate``), and told by the model card.

Its keys are the settings that decided the weights, the data by digest instead of by place, and::

    languages     that training saw, or one before it
    started_from  the bundle whose weights training started from, if any
    ancestors     if there is one: the data that its training saw, and those before it, each set once; null for what is not known
    recalibrated  the bundle whose weights these are as they were, if any; all the rest is said of that one
    averaged      the bundles whose weights these are the mean of, if any; all the rest is said of the first of them, but
    differs       has every setting in which they differ: its values in their order
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.errors import BundleError
from training.data import DataFile, TrainingData, digest_of
from training.settings import TrainingSettings

TRAINING_FILE = "training.json"
LANGUAGES = "languages"
STARTED_FROM = "started_from"
ANCESTORS = "ancestors"
RECALIBRATED = "recalibrated"
AVERAGED = "averaged"
DIFFERS = "differs"

How = dict[str, Any]
"""What the file holds."""

DataSet = list[dict[str, Any]]
"""The files of one training, as the file has them."""


class Unseen(StrEnum):
    """By whom the scenarios of test texts were not seen, as far as is known."""

    BY_ANY = "by any training"
    BY_THIS = "by this training"
    """What the bundle that it started from saw is not known, or was something else."""
    NOT_KNOWN = "not known"


def how_of_run(settings: TrainingSettings, data: TrainingData, ancestor: Bundle | None) -> How:
    """Of weights that were trained, from those of the ancestor on if there is one."""
    begun: How = {}
    before: frozenset[str] = frozenset()
    if ancestor:
        before = languages_of(ancestor) or before
        taught = ", made narrower, which also taught it" if settings.method == "distil" else ""
        begun = {STARTED_FROM: f"{ancestor.identity}{taught}", ANCESTORS: _seen(_told(ancestor))}
    return {
        **settings.model_dump(mode="json", exclude={"output", "start_from", "seeds"} | settings.unused),
        "data": [{"file": file.path.name, "sha256": file.sha256, "share": file.share} for file in data.files],
        LANGUAGES: sorted(data.languages | before),
        **begun,
    }


def how_of_mean(bundles: Sequence[Bundle]) -> How:
    """Of the mean of the weights of several bundles, or of one bundle's weights as they are.

    Raises:
        BundleError: a bundle does not say how it was trained.
    """
    hows = [how_trained(bundle) for bundle in bundles]
    if len(bundles) == 1:
        return {**hows[0], RECALIBRATED: str(bundles[0].identity)}
    names = dict.fromkeys(name for how in hows for name in how if name != "version")
    values = {name: [how.get(name) for how in hows] for name in names}
    differs = {name: of_each for name, of_each in values.items() if any(value != of_each[0] for value in of_each)}
    first = {name: value for name, value in hows[0].items() if name not in (RECALIBRATED, AVERAGED, DIFFERS)}
    return {**first, AVERAGED: [str(bundle.identity) for bundle in bundles], **({DIFFERS: differs} if differs else {})}


def how_trained(bundle: Bundle) -> How:
    """What a bundle says.

    Raises:
        BundleError: it does not say how it was trained.
    """
    return read_how(bundle.folder)


def read_how(folder: Path) -> How:
    """What a bundle's folder says, finished or not; errors as ``how_trained``."""
    try:
        found: How = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{folder} has no {TRAINING_FILE}: it does not say how it was trained.") from error
    return found


def write_how(how: How, folder: Path) -> None:
    """Into a bundle's folder."""
    (folder / TRAINING_FILE).write_text(json.dumps(how, indent=1), encoding="utf-8")


def training_data(how: How) -> list[list[DataFile]]:
    """The files that each of the trainings saw, each set once; empty where the bundle does not say (until 0.4.0)."""
    sets = [tuple(_files(data)) for data in _own(how) if data]
    return [list(files) for files in dict.fromkeys(sets)]


def unseen(how: How, data_digest: str) -> Unseen:
    """Whether training saw the data with this digest (``TrainingData.digest``) and no other: then its test split was unseen; and
    whether that is true of every training before it, too."""
    if {_digest(data) for data in _own(how)} != {data_digest}:
        return Unseen.NOT_KNOWN
    return Unseen.BY_ANY if {_digest(data) for data in _seen(how)} == {data_digest} else Unseen.BY_THIS


def unseen_by(bundle: Bundle, data_digest: str) -> Unseen:
    """The same of a bundle; of one that does not say, the data of its figures count."""
    how = _told(bundle)
    of_figures = {"data": [{"file": "", "sha256": bundle.manifest.data_digest, "share": 1.0}]}
    return unseen(how if training_data(how) else how | of_figures, data_digest)


def started_from(bundle: Bundle) -> str | None:
    """What its training started from, as far as it says."""
    return _told(bundle).get(STARTED_FROM)


def _told(bundle: Bundle) -> How:
    return how_trained(bundle) if TRAINING_FILE in bundle.manifest.files else {}


def _own(how: How) -> list[DataSet | None]:
    """What the training saw, or each of those whose mean it is."""
    each: list[DataSet | None] = how.get(DIFFERS, {}).get("data", [how.get("data")])
    return each


def _seen(how: How) -> list[DataSet | None]:
    """What the training saw and those before it, each set once."""
    sets = _own(how) + how.get(ANCESTORS, [None] if how.get(STARTED_FROM) else [])
    return [data for place, data in enumerate(sets) if data not in sets[:place]]


def _files(data: DataSet) -> list[DataFile]:
    return [DataFile(Path(file["file"]), file["sha256"], file["share"]) for file in data]


def _digest(data: DataSet | None) -> str | None:
    return digest_of(_files(data)) if data else None


def trained_languages(how: How) -> frozenset[str] | None:
    """The languages that training saw, or one before it; None where the bundle does not say."""
    each = how.get(DIFFERS, {}).get(LANGUAGES, [how.get(LANGUAGES)])
    return None if None in each else frozenset(language for languages in each for language in languages)


def languages_of(bundle: Bundle) -> frozenset[str] | None:
    """The same of a bundle. For one that does not say, its figures must do, and they know only the languages that it was measured
    in; None where they tell of none."""
    by_figures = (lang for lang, entry in bundle.metrics.get("languages", {}).items() if not entry.get("zero_shot"))
    return trained_languages(_told(bundle)) or frozenset(by_figures) or None
