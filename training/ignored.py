"""Settings that were chosen and change nothing, such as options of a loss that is not used: the run is not what it seems."""

import logging
from itertools import product
from typing import Any

from training.errors import TrainingError
from training.settings import TrainingSettings

log = logging.getLogger(__name__)

FIXED_BY_START = ("layers", "lora_rank", "lora_alpha")
"""Settings that the weights of a bundle fix: its adapters go on at their rank and scale, in the layers that they are for."""


def ignored(settings: TrainingSettings) -> list[str]:
    """Settings that such a run ignores, of those that are not as they are by default (a written file has all of them)."""
    fields = TrainingSettings.model_fields
    return [name for name in fields if name in settings.unused - {"search"} and getattr(settings, name) != fields[name].default]


def say_what_is_ignored(settings: TrainingSettings) -> None:
    """One line on stderr, where there is something to say."""
    if names := ignored(settings):
        log.warning("Ignored, with loss %s and method %s: %s.", settings.loss, settings.method, ", ".join(names))


def without_what_the_start_fixes(settings: TrainingSettings) -> TrainingSettings:
    """These settings, and a search's space without what no trial can change, because the model fixes it that all start from.

    Raises:
        TrainingError: nothing is left to try.
    """
    space = settings.search.space
    # A student has layers of its own. Where some trials start afresh, those that do not may fail, and the search goes on.
    if None in _tried(settings, "start_from") or "distil" in _tried(settings, "method"):
        return settings
    fixed = [name for name in space if name in FIXED_BY_START]
    if not fixed:
        return settings
    why = f"the model that training starts from fixes {', '.join(fixed)}"
    if len(fixed) == len(space):
        raise TrainingError(f"The search's space has nothing to try: {why}. Search other settings, or leave start_from out.")
    log.warning("The search's space: %s; the search leaves that as it is.", why)
    left = {name: dimension for name, dimension in space.items() if name not in fixed}
    return settings.model_copy(update={"search": settings.search.model_copy(update={"space": left})})


def _tried(settings: TrainingSettings, name: str) -> tuple[Any, ...]:
    """What a setting is in the trials of a search, when that is one of some choices."""
    space = settings.search.space
    return space[name].choices if name in space else (getattr(settings, name),)


def check_search_space(settings: TrainingSettings) -> None:
    """Say which dimensions of the search's space no trial would use.

    Raises:
        TrainingError: all of them; every trial would be the same.
    """
    space = settings.search.space
    losses, methods = _tried(settings, "loss"), _tried(settings, "method")
    trials = [settings.model_copy(update={"loss": loss, "method": method}) for loss, method in product(losses, methods)]
    names = [name for name in space if all(name in trial.unused for trial in trials)]
    if not names:
        return
    with_these = f"loss {' or '.join(map(str, losses))} and method {' or '.join(map(str, methods))}"
    why = f"no trial would use {', '.join(names)}, with {with_these}"
    if len(names) == len(space):
        raise TrainingError(f"The search's space has nothing to try: {why}. Search other settings, or choose another loss.")
    log.warning("The search's space: %s.", why)
