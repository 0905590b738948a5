"""A bundle by the name that a person gives it: what every command understands."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.bundle import Bundle
from models.registry import CHAMPION, RELEASED_NAME, bundle_at, where
from models.settings import ModelSettings
from training.fetched import fetched, fetched_once
from training.processes import from_first
from training.settings import TrainingSettings


def place_of(name: str, settings: ModelSettings) -> str:
    """From what a person writes to a place that ``models.registry`` knows: ``released``, a folder, ``models:/NAME/VERSION`` or
    ``models:/NAME@ALIAS``, or the number of a version. With no champion in the registry, the champion is the released model.

    Raises:
        RegistryError: the store does not answer.
    """
    if name.isdecimal():
        return f"models:/{settings.registered_model}/{name}"
    if not (name.startswith("models:/") and "@" in name):
        return name
    place = where(settings.model_copy(update={"bundle": name})) or name
    return RELEASED_NAME if place == f"models:/{settings.registered_model}@{CHAMPION}" else place


def open_named(name: str, settings: ModelSettings) -> Bundle:
    """Open a bundle; ``name`` as in ``place_of``. One from the registry is fetched as ``training.fetched`` says.

    Raises:
        ModelError: it is not there or is broken.
    """
    place = place_of(name, settings)
    if not place.startswith("models:/"):
        return bundle_at(place, settings)
    return fetched(settings.mlflow_tracking_uri, place, lambda folder: bundle_at(place, settings, folder))


def pinned(settings: TrainingSettings, model_settings: ModelSettings) -> TrainingSettings:
    """With the version that an alias in ``start_from`` has now, the same in all processes: while training goes on, it may get
    another."""
    if settings.start_from is None:
        return settings
    return settings.model_copy(update={"start_from": from_first(place_of(settings.start_from, model_settings))})


@contextmanager
def bundle_to_start_from(settings: TrainingSettings, model_settings: ModelSettings) -> Iterator[Bundle | None]:
    """The bundle ``start_from``; what was fetched from the registry for it is deleted again (``training.fetched``).

    Raises:
        ModelError: it is not there or is broken.
    """
    if settings.start_from is None:
        yield None
        return
    with fetched_once():
        yield open_named(settings.start_from, model_settings)
