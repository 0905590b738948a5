"""Where exports are, so that whoever erases an ad is told which of them still hold it."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.export import EXAMPLES, export_folder
from labeling.store.tables import Export


@dataclass(frozen=True, slots=True)
class Holding:
    """Folders of exports that hold an ad, and folders of exports that are not where they were made any more."""

    folders: tuple[Path, ...]
    gone: tuple[Path, ...]


def remember(session: Session, digest: str, folder: Path) -> None:
    """Note that an export was written below ``folder``; the same export may be in several."""
    noted = session.get_one(Export, digest)
    place = str(folder.resolve())
    if place not in (places := noted.settings.get("folders", [])):
        noted.settings = {**noted.settings, "folders": [*places, place]}


def exports_with(session: Session, ad_ids: Collection[str]) -> Holding:
    """Look through the examples of all exports that were made, for ads by their ids."""
    wanted = set(ad_ids)
    folders, gone = [], []
    for noted in session.scalars(select(Export).order_by(Export.made_at)):
        # Exports of before folders were remembered as a whole have one, as it was typed.
        for place in noted.settings.get("folders") or [noted.settings["folder"]]:
            folder = export_folder(Path(place), noted.digest)
            try:
                holds = _holds(folder / EXAMPLES, wanted)
            except (OSError, ValueError):
                gone.append(folder)
            else:
                folders += [folder] if holds else []
    return Holding(tuple(folders), tuple(gone))


def _holds(examples: Path, ad_ids: set[str]) -> bool:
    with examples.open(encoding="utf-8") as lines:
        return any(json.loads(line).get("id") in ad_ids for line in lines)
