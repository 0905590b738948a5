"""From a labelled export to a model in service and back again: every step a command, as in docs/retraining.md, in a process
of its own; two encoder layers and few steps."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from models.bundle import RELEASED, open_bundle
from tests.e2e.desk import Desk, found
from tests.serving.listening import serving_process

AD = {"ads": [{"id": "a", "text": "Pickers wanted. The bus costs 900 and comes off your wages."}]}


@pytest.mark.slow
def test_from_new_labels_to_a_model_in_service_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    desk.do("signaal-label corpus export all.jsonl")
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    train, rest = (
        [line for line in lines if '"split": "train"' in line],
        [line for line in lines if '"split": "train"' not in line],
    )
    (tmp_path / "data.jsonl").write_text("\n".join(train[::6] + rest[::14]) + "\n")
    data = "--data data.jsonl"

    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", desk.environment["SIGNAAL_MLFLOW_TRACKING_URI"])
    out = desk.do(f"signaal-train run {data} --layers 2 --max-steps 40 --version one")
    one = found(r"bundle: (\S+)", out)
    assert "registered as version 1" in out

    with serving_process("auto", tmp_path / "serve.log", models_poll_seconds=0.5) as server:
        released = open_bundle(RELEASED).manifest.version
        answering(server.url, released)

        assert "macro-F1" in desk.do(f"signaal-train evaluate {one} data.jsonl --output reports/one")
        out = desk.do(f"signaal-train compare released {one} {data}")
        assert "P(better)" in out
        assert (tmp_path / "reports/comparison/comparison.html").is_file()

        out = desk.do(f"signaal-train promote 1 {data}", code=1)
        assert "refused: signaal one" in out
        assert "macro_f1: worse by" in out
        assert asked(server.url) == released

        desk.do(f"signaal-train promote 1 {data} --force --reason exercise")
        answering(server.url, "one")

        two = found(r"bundle: (\S+)", desk.do(f"signaal-train recalibrate {one} {data} --version two"))
        out = desk.do(f"signaal-train promote {two} {data}")
        assert "signaal version 2" in out, "the version that recalibrate registered, not another one"
        answering(server.url, "two")

        assert "the champion is version 1 again; it was version 2" in desk.do("signaal-train rollback --reason exercise")
        answering(server.url, "one")
        assert "the champion is released again" in desk.do("signaal-train rollback")
        answering(server.url, released)
    out = desk.do("signaal-train models")
    assert "passed over" in out
    assert "champion: released" in out
    assert json.loads((tmp_path / "reports/promotion/comparison.json").read_text())["b"]["version"] == "two"


def asked(url: str) -> str:
    """The version that an answer says it is of."""
    answer = httpx.post(f"{url}/v1/score", json=AD, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model"]["version"])


def answering(url: str, version: str) -> None:
    """Wait until answers are of this version; none may fail meanwhile."""
    until(lambda: asked(url) == version, f"no answer of {version}")


def until(condition: Callable[[], bool], message: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.2)
