"""From a labelled export to a model in service, to a better one, and back again: every step a command, as in docs/retraining.md,
in a process of its own; two encoder layers and few steps."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest
import yaml

from models.bundle import RELEASED, open_bundle
from tests.e2e.desk import Desk, found
from tests.serving.listening import serving_process
from tests.waiting import until
from training.gates import PACKAGED_GATES

AD = {"ads": [{"id": "a", "text": "Pickers wanted. The bus costs 900 and comes off your wages."}]}
FEW_TEXTS = {
    # Of so few texts one is more than the packaged limits; a barely trained champion is above them, too.
    "identity_swap": {"at_most": 0.02, "or_champion": True},
    "identity_pairs": {"at_most": 0.02, "or_champion": True},
    # Two equal models on a busy machine.
    "latency_ratio": {"at_most": 3},
}
"""Gates that differ from the packaged ones."""
SMALL = "--set layers=2 --set max_steps=40"


@pytest.mark.slow
def test_from_new_labels_to_a_model_in_service_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    gates = yaml.safe_load(PACKAGED_GATES.read_text()) | FEW_TEXTS
    (tmp_path / "gates.yaml").write_text(yaml.safe_dump(gates))
    desk.do("signaal-label corpus export data/corpus.jsonl")
    at_first, more = some_of(tmp_path / "data/corpus.jsonl")
    (tmp_path / "data/corpus.jsonl").write_text(at_first)
    desk.do("signaal-train init")
    out = desk.do(f"signaal-train run signaal.yaml {SMALL} --set version=one")
    one = found(r"bundle: (\S+)", out)
    assert "registered as version 1" in out

    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", desk.environment["SIGNAAL_MLFLOW_TRACKING_URI"])
    with serving_process("auto", tmp_path / "serve.log", models_poll_seconds=0.5) as server:
        released = open_bundle(RELEASED).manifest.version
        until(lambda: asked(server.url) == released, 120, "an answer")

        out = while_asked(desk, server.url, "signaal-train promote 1 --gates gates.yaml", released, code=1)
        assert "refused: signaal one" in out
        assert "macro_f1: worse by" in out

        while_asked(desk, server.url, "signaal-train promote 1 --gates gates.yaml --force --reason exercise", "one")

        (tmp_path / "data/all.jsonl").write_text(at_first + more)
        out = desk.do(
            f"signaal-train run signaal.yaml {SMALL} --set data=data/all.jsonl --set start_from={one} --set version=two"
        )
        two = found(r"bundle: (\S+)", out)
        assert "registered as version 2" in out
        assert "macro-F1" in desk.do(f"signaal-train evaluate {two} data/all.jsonl")
        out = desk.do(f"signaal-train compare models:/signaal@champion {two} --data data/all.jsonl")
        assert f"A: {open_bundle(tmp_path / one).identity}" in out
        assert (tmp_path / "reports/comparison/comparison.html").is_file()

        out = while_asked(desk, server.url, "signaal-train promote 2 --data data/all.jsonl --gates gates.yaml", "two")
        assert "signaal version 2" in out

        out = while_asked(desk, server.url, "signaal-train rollback --reason exercise", "one")
        assert "the champion is version 1 again; it was version 2" in out
        out = while_asked(desk, server.url, "signaal-train rollback", released)
        assert "the champion is released again" in out
    out = desk.do("signaal-train models")
    assert "passed over" in out
    assert "champion: released" in out

    decided = json.loads((tmp_path / "reports/promotion/comparison.json").read_text())
    assert (decided["a"]["version"], decided["b"]["version"]) == ("one", "two")
    # After so few steps hardly a text reaches the threshold; the order of the texts needs none.
    assert decided["figures"]["mean_average_precision"]["difference"] > 0, "training on made it a better model"
    how = json.loads((tmp_path / two / "training.json").read_text())
    assert how["started_from"] == str(open_bundle(tmp_path / one).identity)
    assert how["ancestors"] == [json.loads((tmp_path / one / "training.json").read_text())["data"]]


def some_of(corpus: Path) -> tuple[str, str]:
    """A labelled file to begin with, and training texts that come later."""
    lines = corpus.read_text().splitlines(keepends=True)
    train = [line for line in lines if '"split": "train"' in line]
    held_out = [line for line in lines if '"split": "train"' not in line]
    return "".join(train[::12] + held_out[::14]), "".join(train[6::12])


def asked(url: str) -> str:
    """The version that an answer says it is of."""
    answer = httpx.post(f"{url}/v1/score", json=AD, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model"]["version"])


def while_asked(desk: Desk, url: str, line: str, version: str, code: int = 0) -> str:
    """What a command printed, once answers are of this version; all the while a thread keeps asking, and no answer may fail."""
    ended = Event()

    def ask() -> None:
        while not ended.wait(0.2):
            asked(url)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            out = desk.do(line, code)
            until(lambda: asked(url) == version, 120, f"an answer of {version}")
        finally:
            ended.set()
    asking.result()
    return out
