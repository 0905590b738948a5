"""``signaal-train drift``: files in, exit code and report out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.runtime import Scorer
from serving.answers import LineOut, ModelOut, ResultOut
from tests.conftest import SmallRun
from training.cli import main

ADS = 80


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["signaal-train", "drift", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def scored_lines(seed: int, shift: float = 0.0, **fields: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(ADS):
        p = float(1 / (1 + np.exp(-rng.normal(-2 + shift, 1))))
        lines.append(
            {
                "line": number + 1,
                "id": f"secret-id-{number}",
                "language": {"code": str(rng.choice(["nl", "en"])), "confidence": 1.0, "evaluated": True},
                "document_type": {"value": "service_ad", "probability": 0.9},
                "indicators": {
                    "debt_or_fees": {
                        "probability": p,
                        "status": "present" if p > 0.5 else "absent",
                        "evidence": [{"start": 0, "end": 5, "text": "zwijg"}],
                    }
                },
                "counter_indicators": {},
                "model": {
                    "name": "signaal",
                    "version": "1",
                    "bundle_digest": "a" * 64,
                    "run_id": None,
                    "taxonomy_version": "1.0",
                },
                **fields,
            }
        )
    return lines


def write(path: Path, lines: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_exit_code_0_without_drift_and_1_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, same = write(tmp_path / "before.jsonl", scored_lines(1)), write(tmp_path / "same.jsonl", scored_lines(2))
    other = write(tmp_path / "other.jsonl", scored_lines(3, shift=2.0))
    assert call(monkeypatch, before, same, "--output", str(tmp_path / "a")) == 0
    assert call(monkeypatch, before, other, "--output", str(tmp_path / "b")) == 1
    assert call(monkeypatch, before, other, "--output", str(tmp_path / "c"), "--psi", "9", "--cohen-h", "9") == 0
    facts = json.loads((tmp_path / "b" / "drift.json").read_text())
    assert facts["drift"]
    assert {one["name"] for one in facts["comparisons"] if one["drifted"]} == {"debt_or_fees"}
    html = (tmp_path / "b" / "drift.html").read_text()
    assert html.count("data:image/png;base64,") == 3
    assert "share of &#39;present&#39; debt_or_fees" in html
    for report in (html, json.dumps(facts)):
        assert "zwijg" not in report
        assert "secret-id" not in report


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda lines: lines[:10], "holds 10 ads"),
        (lambda lines: [*lines, {"id": "x"}], "other.jsonl:81: neither a scored ad nor a text"),
        (lambda lines: [*lines, {**lines[0], "text": "geheim"}], "other.jsonl:81: scored and unscored ads, or ads with and"),
        (lambda lines: [*lines, {**lines[0], "model": {"bundle_digest": "b"}}], "other.jsonl:81: it was scored by another model"),
        (lambda lines: [*lines, {**lines[0], "text": 7}], "other.jsonl:81: text: Input should be a valid string"),
        (lambda lines: [{**line, "model": {"bundle_digest": "b"}} for line in lines], "Score both with one model"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, broken: Any, message: str
) -> None:
    before = write(tmp_path / "before.jsonl", scored_lines(1))
    other = write(tmp_path / "other.jsonl", broken(scored_lines(2)))
    assert call(monkeypatch, before, other, "--output", str(tmp_path / "report")) == 2
    said = capsys.readouterr().err
    assert message in " ".join(said.split()).replace(str(tmp_path) + "/", "")
    assert "geheim" not in said


def test_texts_are_scored_here_and_agree_with_what_serving_wrote(
    small_run: SmallRun, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = [json.loads(line)["text"] for line in small_run.data.read_text(encoding="utf-8").splitlines()[:120]]
    model = ModelOut.of(scorer.identity)
    lines = [
        LineOut(line=n, model=model, **dict(ResultOut.of(str(n), score))).model_dump(mode="json") | {"text": text}
        for n, (text, score) in enumerate(zip(texts, scorer.score(texts), strict=True), start=1)
    ]
    monkeypatch.setenv("SIGNAAL_CACHE_DIR", str(small_run.settings.cache_dir))
    bundle = str(small_run.result.bundle.folder)
    written = write(tmp_path / "written.jsonl", lines[:60])
    plain = write(tmp_path / "plain.jsonl", [{"text": text} for text in texts[:60]])
    shouted = write(tmp_path / "shouted.jsonl", [{"text": f"{text.upper()} 🔥🔥🔥🔥 p.l.u.k.k.e.r"} for text in texts[60:]])
    assert call(monkeypatch, written, plain, "--bundle", bundle, "--output", str(tmp_path / "same")) == 0
    facts = json.loads((tmp_path / "same" / "drift.json").read_text())
    for one in facts["comparisons"]:
        if one["kind"] != "auc":
            assert one["size"] == pytest.approx(0, abs=1e-9), one
    assert {one["name"] for one in facts["comparisons"]} >= {"characters", "emoji per character", "embeddings", "languages"}
    assert call(monkeypatch, written, shouted, "--bundle", bundle, "--output", str(tmp_path / "loud")) == 1
    facts = json.loads((tmp_path / "loud" / "drift.json").read_text())
    assert {"emoji per character", "disguised words per word"} <= {one["name"] for one in facts["comparisons"] if one["drifted"]}
    assert not any(text[:40] in (tmp_path / "loud" / "drift.html").read_text() for text in texts)


def test_texts_scored_by_another_bundle_are_refused(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = write(tmp_path / "before.jsonl", [line | {"text": "Plukkers gezocht."} for line in scored_lines(1)])
    assert call(monkeypatch, before, before, "--bundle", str(small_run.result.bundle.folder)) == 2
    assert "was scored by bundle aaaaaaaaaaaa" in " ".join(capsys.readouterr().err.split())
