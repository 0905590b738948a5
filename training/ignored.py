"""Settings that were chosen and change nothing, such as options of a loss that is not used: the run is not what it seems."""

import logging
from itertools import product

from training.errors import TrainingError
from training.settings import TrainingSettings

log = logging.getLogger(__name__)


def ignored(settings: TrainingSettings) -> list[str]:
    """Settings that such a run ignores, of those that are not as they are by default (a written file has all of them)."""
    fields = TrainingSettings.model_fields
    return [name for name in fields if name in settings.unused - {"search"} and getattr(settings, name) != fields[name].default]


def say_what_is_ignored(settings: TrainingSettings) -> None:
    """One line on stderr, where there is something to say."""
    if names := ignored(settings):
        log.warning("Ignored, with loss %s and method %s: %s.", settings.loss, settings.method, ", ".join(names))


def check_search_space(settings: TrainingSettings) -> None:
    """Say which dimensions of the search's space no trial would use.

    Raises:
        TrainingError: all of them; every trial would be the same.
    """
    space = settings.search.space
    losses, methods = (space[name].choices if name in space else (getattr(settings, name),) for name in ("loss", "method"))
    trials = [settings.model_copy(update={"loss": loss, "method": method}) for loss, method in product(losses, methods)]
    names = [name for name in space if all(name in trial.unused for trial in trials)]
    if not names:
        return
    with_these = f"loss {' or '.join(map(str, losses))} and method {' or '.join(map(str, methods))}"
    why = f"no trial would use {', '.join(names)}, with {with_these}"
    if len(names) == len(space):
        raise TrainingError(f"The search's space has nothing to try: {why}. Search other settings, or choose another loss.")
    log.warning("The search's space: %s.", why)
