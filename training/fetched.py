"""Models from the registry, fetched once for as long as a command, or a run, goes on, and deleted at its end.

A distillation, say, opens its teacher for its shape, to learn from it, to tell what it saw, and to be held against it.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from models.bundle import Bundle


class _Fetched:
    """What there is by now, by store and place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bundles: dict[tuple[str, str], Bundle] = {}

    def get(self, store: str, place: str, fetch: Callable[[Path], Bundle]) -> Bundle:
        if (store, place) not in self._bundles:
            self._bundles[store, place] = fetch(Path(tempfile.mkdtemp(dir=self._folder)))
        return self._bundles[store, place]


_fetched: ContextVar[_Fetched | None] = ContextVar("fetched", default=None)


@contextmanager
def fetched_once() -> Iterator[None]:
    """Within, ``fetched`` fetches a version once. What stands inside another one shares it, and leaves deleting to it."""
    if _fetched.get() is not None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="signaal-") as folder:
        outside = _fetched.set(_Fetched(Path(folder)))
        try:
            yield
        finally:
            _fetched.reset(outside)


def fetched(store: str, place: str, fetch: Callable[[Path | None], Bundle]) -> Bundle:
    """A version of a registered model.

    Args:
        store: address of the registry.
        place: ``models:/NAME/VERSION``.
        fetch: brings it into a folder; outside ``fetched_once`` into None, which is where MLflow keeps it.
    """
    here = _fetched.get()
    return here.get(store, place, fetch) if here else fetch(None)
