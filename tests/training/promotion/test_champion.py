"""Whom one can go back to, and what is left of a move that met another one or was interrupted; with a real MLflow store."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from models.settings import ModelSettings
from tests.e2e.desk import ROOT
from training import champion
from training.champion import Kind, Move, champion_now, former_champions, history, move_champion, roll_back
from training.errors import TrainingError


def moves(story: str) -> list[Move]:
    """``released>1 1>2 2<1``: promotions and rollbacks; ``1>2?`` was interrupted."""
    found = []
    for number, step in enumerate(story.split()):
        kind = Kind.ROLLED_BACK if "<" in step else Kind.PROMOTED
        former, to = step.removesuffix("?").replace("<", ">").split(">")
        whole = not step.endswith("?")
        found.append(Move(at=str(number), who="me", kind=kind, former=former, champion=to, carried_out=whole))
    return found


@pytest.mark.parametrize(
    ("story", "now", "former"),
    [
        ("", "released", []),
        ("", "3", ["released"]),  # the alias was set in MLflow itself
        ("released>1", "1", ["released"]),
        ("released>1 1>2 2>3", "3", ["released", "1", "2"]),
        ("released>1 1>2 2>3 3<2", "2", ["released", "1"]),
        ("released>1 1>2 2>3 3<2 2<1", "1", ["released"]),
        ("released>1 1<released", "released", []),
        ("released>1 1>2 2<1 1>3", "3", ["released", "1"]),  # 2 was found wanting
        ("released>1 1>2 2>1", "1", ["released", "1", "2"]),
        ("released>1 1>2 2>1 1<2", "2", ["released", "1"]),
        ("released>1", "7", ["released", "1"]),  # somebody moved it to 7 past us
        ("released>1 7>8", "8", ["released", "1", "7"]),
        ("5>6 6<5", "5", ["released"]),
        ("released>1 1>2?", "1", ["released"]),  # interrupted before the alias moved
        ("released>1 1>2?", "2", ["released", "1"]),  # interrupted after it
        ("released>1 1>2 2<1?", "2", ["released", "1"]),
        ("released>1 1>2 2<1?", "1", ["released"]),
        ("released>1 1>2? 1>3", "3", ["released", "1"]),
        ("released>1 1>2? 2>3", "3", ["released", "1", "2"]),
    ],
)
def test_the_pile_of_former_champions(story: str, now: str, former: list[str]) -> None:
    assert former_champions(moves(story), now) == former


@pytest.fixture
def store(tmp_path: Path) -> ModelSettings:
    """A registry with three versions; the released model is the champion."""
    settings = ModelSettings(mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    client.create_registered_model(settings.registered_model)
    for _ in range(3):
        client.create_model_version(settings.registered_model, str(tmp_path))
    return settings


def promoted(version: str, instead_of: str, settings: ModelSettings) -> Move:
    return move_champion(version, Kind.PROMOTED, "", settings, instead_of=instead_of)


def test_who_decided_on_another_champion_does_not_overwrite_the_new_one(store: ModelSettings) -> None:
    promoted("1", "released", store)
    with pytest.raises(TrainingError, match="the champion was released, now it is 1"):
        promoted("2", "released", store)
    assert champion_now(store) == "1"
    assert [move.champion for move in history(store)] == ["1"], "what was refused is no move"
    promoted("2", "1", store)
    assert champion_now(store) == "2"


def test_a_rollback_does_not_take_off_a_champion_that_it_has_not_seen(
    store: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted("1", "released", store)
    promoted("2", "1", store)

    def while_somebody_promotes(settings: ModelSettings) -> list[Move]:
        found = history(settings)
        promoted("3", "2", settings)
        return found

    monkeypatch.setattr(champion, "history", while_somebody_promotes)
    with pytest.raises(TrainingError, match="the champion was 2, now it is 3"):
        roll_back("2 is bad", store)
    assert champion_now(store) == "3"
    assert [move.kind for move in history(store)] == [Kind.PROMOTED] * 3


@pytest.mark.parametrize("kind", [KeyError, OSError])
def test_a_user_without_a_name_moves_the_alias_under_its_number(
    store: ModelSettings, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """As in a container that runs as some user (``docker run --user 1234``); what Python raises depends on its version."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> None:
        raise kind(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert promoted("1", "released", store).who == f"uid {os.getuid()}"
    roll_back("", store)
    assert [move.who for move in history(store)] == [f"uid {os.getuid()}"] * 2


KILLED = """
import os, sys
from models.settings import ModelSettings
from training import champion
settings = ModelSettings(mlflow_tracking_uri=sys.argv[1])
moved = champion.set_alias
def and_die(version, settings):
    {first}
    os._exit(9)
champion.set_alias = and_die
{move}
"""
BEFORE, AFTER = "pass", "moved(version, settings)"
PROMOTE = 'champion.move_champion("2", champion.Kind.FORCED, "tonight", settings, instead_of="1")'
ROLL_BACK = 'champion.roll_back("tonight", settings)'


def killed(first: str, move: str, settings: ModelSettings) -> None:
    """A process that makes a move and dies beside the alias."""
    code = KILLED.format(first=first, move=move)
    done = subprocess.run([sys.executable, "-c", code, settings.mlflow_tracking_uri], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr.decode()


@pytest.mark.parametrize(("first", "now", "back_to"), [(BEFORE, "1", "released"), (AFTER, "2", "1")])
def test_a_promotion_that_was_killed_left_its_reason_and_can_be_undone(
    store: ModelSettings, first: str, now: str, back_to: str
) -> None:
    promoted("1", "released", store)
    killed(first, PROMOTE, store)
    assert champion_now(store) == now
    left = history(store)[-1]
    assert (left.kind, left.former, left.champion, left.reason, left.carried_out) == (Kind.FORCED, "1", "2", "tonight", False)
    roll_back("", store)
    assert champion_now(store) == back_to


@pytest.mark.parametrize(("first", "now", "back_to"), [(BEFORE, "2", "1"), (AFTER, "1", "released")])
def test_a_rollback_that_was_killed_can_be_repeated(store: ModelSettings, first: str, now: str, back_to: str) -> None:
    promoted("1", "released", store)
    promoted("2", "1", store)
    killed(first, ROLL_BACK, store)
    assert champion_now(store) == now
    assert history(store)[-1].reason == "tonight"
    roll_back("", store)
    assert champion_now(store) == back_to
