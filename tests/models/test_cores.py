import os
from pathlib import Path

import pytest

from models.cores import usable_cores


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8), (None, 8)]
)
def test_a_container_with_a_limit_has_as_many_cores_as_it_allows(
    limit: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("models.cores._siblings", str)
    quota = tmp_path / "cpu.max"
    if limit is not None:
        quota.write_text(f"{limit}\n")
    assert usable_cores(quota) == cores


def test_two_threads_of_one_core_are_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("models.cores._siblings", lambda number: f"{number % 2},{number % 2 + 2}")
    assert usable_cores(tmp_path / "none") == 2
