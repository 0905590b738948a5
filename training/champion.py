"""Who is the champion, who was before, and how to go back.

The registry's alias says who is; without the alias it is the released model. Every move of the alias is also a tag of the
registered model (``champion_move.<time>``, a JSON object), so that the history is where the alias is, whoever moved it from
which machine.

A move is written down before the alias moves, and once more after: a process that ends between the two leaves the reason of what
it did, or of what it was about to do. Which of the two it was, the next look at the alias tells.

MLflow cannot move an alias on condition that it still is where it was. So whoever moves it says which champion the decision was
about, and the alias is read again directly before. Somebody who moves it within the milliseconds between is overwritten; both
moves are in the history then.

Going back works like undo: a promotion puts a champion on top of the pile, a rollback takes it off again. So two rollbacks go
back two promotions, and what was rolled back is not come back to.
"""

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import RegistryError
from models.registry import CHAMPION, RELEASED_NAME, where
from models.registry import promote as set_alias
from models.settings import ModelSettings
from training.errors import TrainingError

MOVE_TAG = "champion_move."


class Kind(StrEnum):
    """What moved the alias."""

    PROMOTED = "promoted"
    FORCED = "forced"
    """Promoted although a gate was shut."""
    ROLLED_BACK = "rolled back"


class Move(BaseModel):
    """One move of the alias; ``former`` and ``champion`` are a version's number or ``released``."""

    model_config = ConfigDict(frozen=True)

    at: str
    who: str
    kind: Kind
    former: str
    champion: str
    reason: str = ""
    carried_out: bool = True
    """False: written down, and whoever did so has not come to say that the alias has moved."""


def champion_now(settings: ModelSettings) -> str:
    """The number of the version that has the alias, or ``released``."""
    place = where(settings.model_copy(update={"bundle": "auto"})) or RELEASED_NAME
    return place.rpartition("/")[2]


def place_of_champion(champion: str, settings: ModelSettings) -> str:
    """Where ``models.registry`` finds a champion."""
    return RELEASED_NAME if champion == RELEASED_NAME else f"models:/{settings.registered_model}/{champion}"


def history(settings: ModelSettings) -> list[Move]:
    """All moves, oldest first."""
    with talking_to_registry(settings) as client:
        try:
            tags = client.get_registered_model(settings.registered_model).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
    moves = []
    for name in sorted(name for name in tags if name.startswith(MOVE_TAG)):
        try:
            moves.append(Move.model_validate_json(tags[name]))
        except ValidationError as error:
            raise RegistryError(f"The tag {name} of {settings.registered_model} in MLflow is not a move: {error}") from error
    return moves


def former_champions(moves: Sequence[Move], now: str) -> list[str]:
    """Whom one can go back to, the last one last. Moves that were made past us, in MLflow itself, count as promotions, and before
    all that is known there was the released model. A move that was only written down counts when the next one, or ``now``, shows
    that it was made."""
    pile: list[str] = []
    for move, then in zip(moves, [*(move.former for move in moves[1:]), now], strict=False):
        if not move.carried_out and move.champion != then:
            continue
        if not pile or pile[-1] != move.former:
            pile.append(move.former)
        if move.kind is Kind.ROLLED_BACK:
            while pile and pile[-1] != move.champion:
                pile.pop()
        if not pile or pile[-1] != move.champion:
            pile.append(move.champion)
    former = pile[:-1] if pile and pile[-1] == now else pile
    return former or ([RELEASED_NAME] if now != RELEASED_NAME else [])


def move_champion(champion: str, kind: Kind, reason: str, settings: ModelSettings, *, instead_of: str) -> Move:
    """Write the move down, move the alias if it still is where the decision found it, and write down that it has moved.

    Not atomic, see above: between the last look and the move somebody else may move it.

    Args:
        champion: a version's number or ``released``.
        kind: what moves it.
        reason: why; may be empty.
        settings: which store.
        instead_of: who was the champion when this was decided.

    Raises:
        TrainingError: somebody else is the champion by now; nothing has changed.
        RegistryError: there is no such version, or the store does not answer.
    """
    at = datetime.now(UTC)
    tag = f"{MOVE_TAG}{at:%Y%m%dT%H%M%S.%f}"
    move = Move(
        at=at.isoformat(timespec="seconds"),
        who=_who(),
        kind=kind,
        former=instead_of,
        champion=champion,
        reason=reason,
        carried_out=False,
    )
    with talking_to_registry(settings) as client:
        client.set_registered_model_tag(settings.registered_model, tag, move.model_dump_json())
    now = champion_now(settings)
    if now != instead_of:
        with talking_to_registry(settings) as client:
            client.delete_registered_model_tag(settings.registered_model, tag)
        raise TrainingError(
            f"{settings.registered_model}: when this was decided the champion was {instead_of}, now it is {now}; somebody else "
            "moved it (see signaal-train models). Nothing was changed: look again, and repeat the command if it is still right."
        )
    if champion == RELEASED_NAME:
        with talking_to_registry(settings) as client:
            client.delete_registered_model_alias(settings.registered_model, CHAMPION)
    else:
        set_alias(champion, settings)
    move = move.model_copy(update={"carried_out": True})
    with talking_to_registry(settings) as client:
        client.set_registered_model_tag(settings.registered_model, tag, move.model_dump_json())
    return move


def _who() -> str:
    """The user's name, or the number of a user without one: a container may run as any (``docker run --user 1234``)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # up to Python 3.12, from 3.13 on, and where there is no ``pwd``
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def roll_back(reason: str, settings: ModelSettings) -> Move:
    """Make the former champion the champion again; versions that were deleted since are passed over. No gate is asked: going back
    must always be possible.

    Raises:
        TrainingError: there is nobody to go back to, or the champion changed meanwhile.
        RegistryError: the store does not answer.
    """
    now = champion_now(settings)
    for former in reversed(former_champions(history(settings), now)):
        if _is_there(former, settings):
            return move_champion(former, Kind.ROLLED_BACK, reason, settings, instead_of=now)
    raise TrainingError(f"{settings.registered_model} has no former champion to go back to; the champion is {now}.")


def _is_there(champion: str, settings: ModelSettings) -> bool:
    if champion == RELEASED_NAME:
        return True
    with talking_to_registry(settings) as client:
        try:
            client.get_model_version(settings.registered_model, champion)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
    return True


@contextmanager
def talking_to_registry(settings: ModelSettings) -> Iterator[MlflowClient]:
    """A client; what MLflow complains of becomes a ``RegistryError``."""
    uri = settings.mlflow_tracking_uri
    try:
        yield MlflowClient(uri, uri)
    except MlflowException as error:
        raise RegistryError(f"The MLflow store {uri} refuses: {error.message}") from error
