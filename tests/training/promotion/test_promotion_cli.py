"""The whole way at the command line, with a real MLflow store; few texts and pairs, so that it is quick."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from models.example import read_examples, write_examples
from models.registry import where
from models.settings import ModelSettings
from tests.training.promotion.conftest import BROKEN_LABEL, Workshop, with_label_broken
from tests.training.test_run import call
from training import champion, comparison, promotion
from training.champion import Kind, champion_now, history, move_champion
from training.checks.indicator_check import Pair
from training.comparison import Comparison
from training.gates import PACKAGED_GATES

REASON = "The desk needs it tonight; Ana looked at 50 ads."


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> ModelSettings:
    """An empty MLflow store, which the commands use; the released model is the champion."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(comparison, "load_pairs", lambda: pairs)
    return ModelSettings()


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """The packaged gates without the one on time, for which a busy machine is too noisy with so few texts."""
    path = tmp_path / "gates.yaml"
    path.write_text(PACKAGED_GATES.read_text().replace("latency_ratio: {at_most: 1.25}", "latency_ratio: null"))
    return path


def test_from_a_bundle_to_the_champion_and_back(
    store: ModelSettings,
    gates: Path,
    data: Path,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    good, bad = workshop.make("good"), workshop.make("bad", change=with_label_broken)
    options = ("--data", str(data), "--gates", str(gates))

    def printed(code: int, *arguments: str) -> str:
        assert call(monkeypatch, *arguments) == code, capsys.readouterr().err
        return " ".join(capsys.readouterr().err.split())

    assert "champion: released" in printed(0, "models")
    assert "no former champion" in printed(2, "rollback")

    out = printed(0, "promote", str(good.folder), *options)
    assert "signaal version 1" in out
    assert "is now the champion; before it was released" in out
    assert where(store) == "models:/signaal/1"
    assert "is the champion already" in printed(2, "promote", "1", *options)

    out = printed(1, "promote", str(bad.folder), *options)
    assert "refused: signaal bad" in out
    assert f"label_f1 {BROKEN_LABEL}: worse by" in out
    client = MlflowClient(store.mlflow_tracking_uri, store.mlflow_tracking_uri)
    assert [str(v.version) for v in client.search_model_versions("name='signaal'")] == ["1"], "what is refused is not registered"
    assert where(store) == "models:/signaal/1"

    assert "belong together" in printed(2, "promote", str(bad.folder), *options, "--force")
    assert "belong together" in printed(2, "promote", str(bad.folder), *options, "--reason", REASON)
    printed(0, "promote", str(bad.folder), *options, "--force", "--reason", REASON)
    tags = client.get_model_version("signaal", "2").tags
    assert tags["forced_because"] == REASON
    assert any(BROKEN_LABEL in line for line in json.loads(tags["gates"]))
    assert tags["bundle_digest"] == bad.digest
    assert client.get_model_version("signaal", "1").tags["gates"] == "open"

    out = printed(0, "models")
    assert "passed over" in out
    assert f"{good.metrics['macro_f1']:.3f}" in out
    assert REASON in out

    assert "the champion is version 1 again; it was version 2" in printed(0, "rollback", "--reason", "It misses documents.")
    assert where(store) == "models:/signaal/1"
    assert "the champion is released again" in printed(0, "rollback")
    assert where(store) == "released"
    assert "no former champion" in printed(2, "rollback")

    moves = history(store)
    assert [move.kind for move in moves] == [Kind.PROMOTED, Kind.FORCED, Kind.ROLLED_BACK, Kind.ROLLED_BACK]
    assert [move.champion for move in moves] == ["1", "2", "1", "released"]
    assert (moves[1].reason, moves[2].reason) == (REASON, "It misses documents.")
    assert all(move.who and move.at.startswith("20") for move in moves)

    runs = client.search_runs([client.get_experiment_by_name("signaal").experiment_id])
    refused = [run for run in runs if run.data.tags.get("gates") == "shut" and not run.data.tags["force_reason"]]
    assert len(refused) == 1
    assert f"difference/label_f1/{BROKEN_LABEL}" in refused[0].data.metrics
    names = {Path(item.path).name for item in client.list_artifacts(refused[0].info.run_id, "comparison")}
    assert names >= {"comparison.html", "comparison.json", "label_f1.png"}


def test_compare_at_the_command_line(
    store: ModelSettings, data: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(workshop.make("compared", change=with_label_broken).folder)
    assert call(monkeypatch, "compare", "models:/signaal@champion", folder, "--data", str(data), "--output", "out") == 0
    out = capsys.readouterr().err
    assert "A: signaal" in out
    assert "macro f1" in out
    assert json.loads(Path("out/comparison.json").read_text())["a"]["place"] == "released"
    assert Path("out/comparison.html").is_file()


def test_languages_whose_codes_mlflow_does_not_take_are_compared_all_the_same(
    store: ModelSettings, data: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"nl": "nl+en", "en": ""}
    write_examples([e.model_copy(update={"lang": odd.get(e.lang, e.lang)}) for e in read_examples(data)], Path("odd.jsonl"))
    folder = str(workshop.make("compared-in-odd-languages").folder)
    assert call(monkeypatch, "compare", "released", folder, "--data", "odd.jsonl") == 0, capsys.readouterr().err
    client = MlflowClient(store.mlflow_tracking_uri, store.mlflow_tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("signaal").experiment_id])
    assert {"difference/language_f1/nl_en", "difference/language_f1/_", "difference/language_f1/de"} <= set(run.data.metrics)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "released"), "cannot be compared with itself"),
        (("compare", "released", "--precision", "fp16"), "--precision is one of fp32, int8"),
        (("compare", "released", "/nowhere"), "/nowhere is not a bundle"),
        (("promote", "/nowhere"), "/nowhere is not a bundle"),
        (("promote", "99"), "models:/signaal/99 cannot be had"),
        (("promote", "released", "--gates", "/nowhere.yaml"), "Cannot read the gates /nowhere.yaml"),
        (("promote", "released"), "is the champion already"),
    ],
)
def test_known_errors_are_one_line(
    store: ModelSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_a_champion_that_cannot_be_opened_is_replaced_by_force_only(
    store: ModelSettings,
    data: Path,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    promoted: Callable[[Path], str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    broken = promoted(workshop.make("to-be-broken").folder)
    good = str(workshop.make("after-it").folder)
    for path in Path("mlruns").rglob("calibration.json"):
        path.write_text("{}")
    assert call(monkeypatch, "promote", good, "--data", str(data)) == 2
    assert "was tampered with" in capsys.readouterr().err
    assert call(monkeypatch, "promote", good, "--data", str(data), "--force", "--reason", "The champion is broken.") == 0
    assert "The gates could not be asked" in capsys.readouterr().err
    assert where(store) == f"models:/signaal/{int(broken) + 1}"


def test_a_champion_that_came_while_it_was_compared_is_not_overwritten(
    store: ModelSettings,
    gates: Path,
    data: Path,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    promoted: Callable[[Path], str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    promoted(workshop.make("first").folder)
    promoted(workshop.make("second").folder)

    def while_somebody_moves(*arguments: Any) -> Comparison:
        found = comparison.compare(*arguments)
        move_champion("1", Kind.PROMOTED, "theirs", store, instead_of="2")
        return found

    monkeypatch.setattr(promotion, "compare", while_somebody_moves)
    mine = workshop.make("mine")
    assert call(monkeypatch, "promote", str(mine.folder), "--data", str(data), "--gates", str(gates)) == 2
    assert "the champion was 2, now it is 1" in " ".join(capsys.readouterr().err.split())
    assert where(store) == "models:/signaal/1"
    assert history(store)[-1].reason == "theirs"
    client = MlflowClient(store.mlflow_tracking_uri, store.mlflow_tracking_uri)
    assert "promoted_at" not in client.get_model_version("signaal", "3").tags


def test_of_a_promotion_that_ended_before_the_alias_moved_everybody_can_see_what_it_was(
    store: ModelSettings, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    class PowerCut(BaseException): ...

    def end(version: str, settings: ModelSettings) -> None:
        raise PowerCut

    monkeypatch.setattr(champion, "set_alias", end)
    folder = str(workshop.make("interrupted").folder)
    with pytest.raises(PowerCut):
        call(monkeypatch, "promote", folder, "--data", "/nowhere", "--force", "--reason", REASON)
    assert where(store) == "released"
    client = MlflowClient(store.mlflow_tracking_uri, store.mlflow_tracking_uri)
    tags = client.get_model_version("signaal", "1").tags
    assert tags["forced_because"] == REASON
    assert "not judged" in tags["gates"]
    assert "promoted_at" not in tags
    assert call(monkeypatch, "models") == 0
    out = " ".join(capsys.readouterr().err.split())
    assert "champion: released" in out
    assert f"forced released → version 1: {REASON} (interrupted: nobody wrote down its end)" in out


@pytest.fixture
def promoted(store: ModelSettings) -> Callable[[Path], str]:
    """Registers a bundle and makes it the champion, no question asked."""
    from training.measurement import open_contender
    from training.promotion import _mlflow_run, _register

    def do(folder: Path) -> str:
        with _mlflow_run("test", store):
            version = _register(open_contender(str(folder), store, "fp32"), store)
        move_champion(version, Kind.PROMOTED, "", store, instead_of=champion_now(store))
        return version

    return do
