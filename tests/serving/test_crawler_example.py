"""The example of a crawler's pipeline, against a real server."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from models.runtime import Scorer
from serving.app import create_app
from serving.keys.store import KeyStore, Scope
from serving.settings import ServingSettings
from tests.serving.conftest import only
from tests.serving.listening import ROOT, listening

SECRET = "geheimtekst"


@pytest.fixture(scope="module")
def url(eager_scorer: Scorer) -> Iterator[str]:
    with listening(create_app(only(lambda: eager_scorer), ServingSettings())) as url:
        yield url


@pytest.fixture
def crawled(tmp_path: Path) -> Path:
    folder = tmp_path / "crawled"
    folder.mkdir()
    for file in range(3):
        ads = [{"id": f"{file}-{i}", "text": f"Your passport stays here, {SECRET} {i}.", "seen": "today"} for i in range(200)]
        (folder / f"{file}.ndjson").write_text("".join(json.dumps(ad) + "\n" for ad in ads))
    return folder


def command(folder: Path, results: Path, url: str) -> list[str]:
    return [sys.executable, "-m", "serving.examples.crawler", str(folder), str(results), "--url", url]


def run(folder: Path, results: Path, url: str) -> str:
    done = subprocess.run(command(folder, results, url), cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return done.stderr


def read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def test_every_ad_has_one_result_and_no_text_is_written(crawled: Path, url: str, tmp_path: Path) -> None:
    (crawled / "bad.ndjson").write_text(f'{{"id": "blank", "text": " "}}\n{SECRET}\n{{"text": "{SECRET}"}}\n[1]\n')
    results = tmp_path / "results.ndjson"
    said = run(crawled, results, url)
    found = {one["id"]: one for one in read(results)}
    assert len(found) == len(read(results)) == 601
    assert "blank" in found["blank"]["refused"]
    assert said.endswith(f"600 scored, 1 refused; results: {results}\n")
    assert said.count("passed over") == 3
    one = found["2-7"]["labels"]["document_or_earnings_control"]
    assert set(one) == {"status", "probability", "places"}
    assert one["places"]
    for written in (said, results.read_text()):
        assert SECRET not in written
        assert "passport" not in written


def test_killed_and_started_again_it_goes_on_and_then_has_nothing_to_do(crawled: Path, url: str, tmp_path: Path) -> None:
    results = tmp_path / "results.ndjson"
    process = subprocess.Popen(command(crawled, results, url), cwd=ROOT)
    for _ in range(1200):
        if results.exists() and results.stat().st_size:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    kept = len(results.read_bytes().splitlines())
    assert 0 < kept < 600
    with results.open("ab") as file:
        file.write(b'{"id": "half a li')
    said = run(crawled, results, url)
    assert sorted(one["id"] for one in read(results)) == sorted(f"{file}-{i}" for file in range(3) for i in range(200))
    assert int(said.split(" scored")[0]) >= 600 - kept
    assert run(crawled, results, url).startswith("0 scored, 0 refused")


def test_when_the_day_of_the_key_is_used_up_the_rest_is_for_the_next_run(
    crawled: Path, eager_scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, results = f"sqlite:///{tmp_path}/keys.db", tmp_path / "results.ndjson"
    store = KeyStore(address)
    tokens = [store.create("crawler", {Scope.SCORE}, ads_per_day=most)[1] for most in (250, 350)]
    store.close()
    with listening(create_app(only(lambda: eager_scorer), ServingSettings(auth="keys", database_url=SecretStr(address)))) as url:
        monkeypatch.setenv("SIGNAAL_API_KEY", tokens[0])
        first = subprocess.run(command(crawled, results, url), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        found = read(results)
        assert (first.returncode, len(found)) == (1, 250)
        assert all("labels" in one for one in found)
        assert re.fullmatch(r"error: 429 The quota of the day is used up\. .* start again in \d+ s to go on\.\n", first.stderr)
        monkeypatch.setenv("SIGNAAL_API_KEY", tokens[1])
        assert run(crawled, results, url).startswith("350 scored, 0 refused")
    assert sorted(one["id"] for one in read(results)) == sorted(f"{file}-{i}" for file in range(3) for i in range(200))


def test_without_a_service_it_says_so_in_one_line(crawled: Path, tmp_path: Path, url: str) -> None:
    results = tmp_path / "results.ndjson"
    done = subprocess.run(
        command(crawled, results, url + "/nowhere"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: 404 ")
    assert len(done.stderr.splitlines()) == 1
