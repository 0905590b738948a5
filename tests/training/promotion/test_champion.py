"""Whom one can go back to."""

import pytest

from training.champion import Kind, Move, former_champions


def moves(story: str) -> list[Move]:
    """``released>1 1>2 2<1``: promotions and rollbacks."""
    found = []
    for number, step in enumerate(story.split()):
        kind = Kind.ROLLED_BACK if "<" in step else Kind.PROMOTED
        former, champion = step.replace("<", ">").split(">")
        found.append(Move(at=str(number), who="me", kind=kind, former=former, champion=champion))
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
    ],
)
def test_the_pile_of_former_champions(story: str, now: str, former: list[str]) -> None:
    assert former_champions(moves(story), now) == former
