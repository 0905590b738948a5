"""The image cannot be built where there is no registry; all that makes it up is tried here."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.base import DEFAULT_BASE
from tests.conftest import SmallRun
from tests.serving.deploy.files import DEPLOY, ROOT, USER, dockerfile, image_environment, stage

BUILDS_GRAPHS = {"torch", "transformers", "peft", "onnx", "onnxscript"}
"""Dependencies that the server's image leaves out."""
PROBE = {"ads": [{"id": "a1", "text": "Kitchen help wanted, 16 hours a week."}]}


def required() -> list[Requirement]:
    lines = (DEPLOY / "runtime-requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if version}


def with_all_they_need(wanted: list[Requirement]) -> set[str]:
    """Names of distributions that pip installs for these, as their metadata say."""
    names: set[str] = set()
    waiting = list(wanted)
    seen: set[str] = set()
    while waiting:
        one = waiting.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        names.add(canonicalize_name(one.name))
        for text in distribution(one.name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in one.extras or {""}):
                waiting.append(needed)
    return names


def test_hadolint_finds_nothing() -> None:
    subprocess.run([Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile"], check=True, timeout=60)


def test_the_image_has_every_dependency_but_those_that_build_graphs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    there = {canonicalize_name(one.name) for one in required()}
    assert needed - BUILDS_GRAPHS - {"mlflow"} <= there
    assert "mlflow-skinny" in there
    assert not there & BUILDS_GRAPHS


def test_every_package_of_the_image_has_its_version_in_the_constraints() -> None:
    names = with_all_they_need(required())
    assert names <= set(pinned())
    assert not names & (BUILDS_GRAPHS | {"mlflow", "pandas", "scikit-learn", "matplotlib", "sympy"})


def test_the_server_is_the_last_stage_and_runs_as_a_user_without_rights() -> None:
    assert re.findall(r"^FROM .* AS (\w+)$", dockerfile(), re.MULTILINE)[-1] == "server"
    assert "\nFROM signaal AS server\n" in dockerfile()
    assert "\nFROM machine AS signaal\n" in dockerfile()
    assert re.findall(r"^USER (.*)$", dockerfile(), re.MULTILINE) == [f"{USER}:{USER}"]
    assert f"\nUSER {USER}:{USER}\n" in stage("machine")


def test_paths_and_ports_of_the_image_agree() -> None:
    environment, server = image_environment(), stage("server")
    cache = environment["SIGNAAL_CACHE_DIR"]
    assert f" SIGNAAL_CACHE_DIR={cache} " in stage("everything")
    encoder = f"{cache}/base/{DEFAULT_BASE}"
    assert f"{encoder}/config.json {encoder}/tokenizer.json {encoder}/\n" in re.sub(" +", " ", server)
    assert f"{cache}/onnx {cache}/onnx\n" in server
    assert f"\nEXPOSE {environment['SIGNAAL_SERVE_PORT']}\n" in server
    assert environment["PATH"].startswith("/opt/signaal/bin:")


def test_what_is_copied_into_the_build_is_let_through_to_it() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    assert sources == {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)


@pytest.fixture(scope="module")
def registry(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = small_run.settings.mlflow_tracking_uri
    log = tmp_path_factory.mktemp("mlflow") / "log"
    with log.open("w") as file:
        process = subprocess.Popen([*command, "--backend-store-uri", store], cwd=log.parent, stdout=file, stderr=file)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def url(small_run: SmallRun, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a process that finds no package but those of the image, with a model from the registry."""
    folder = tmp_path_factory.mktemp("image")
    packages = folder / "packages"
    packages.mkdir()
    for name in with_all_they_need(required()):
        home = Path(str(distribution(name).locate_file("")))
        for part in {file.parts[0] for file in distribution(name).files or ()} - {"..", "__pycache__"}:
            if not (packages / part).exists():
                (packages / part).symlink_to(home / part)
    started = f"import sys; sys.path += [{str(packages)!r}, {str(ROOT)!r}]; from serving.cli import main; main()"
    command = json.loads(re.findall(r"^CMD (\[.*\])$", stage("server"), re.MULTILINE)[-1])
    model = {
        "SIGNAAL_BUNDLE": f"models:/signaal/{small_run.result.registered_version}",
        "SIGNAAL_MLFLOW_TRACKING_URI": registry,
    }
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", started, *command, "--host", "127.0.0.1", "--port", "0"],
            cwd=folder,
            env=os.environ | model,
            stderr=file,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            found = re.search(r"listens on (http://127\.0\.0\.1:[1-9]\d*) ", log.read_text())
            if found and "is ready as champion" in log.read_text():
                break
            time.sleep(0.1)
        assert found, log.read_text()
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait(30)


def test_a_server_scores_with_the_packages_of_the_image_alone(url: str) -> None:
    request = urllib.request.Request(f"{url}/v1/score", json.dumps(PROBE).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["results"][0]["id"] == "a1"


def test_the_health_check_says_yes_to_a_ready_server_and_no_to_none(url: str) -> None:
    command = json.loads(re.findall(r"HEALTHCHECK .*CMD (\[.*\])$", stage("server"), re.MULTILINE)[0])
    command[0] = sys.executable
    port = url.rpartition(":")[2]
    assert subprocess.run(command, env={"SIGNAAL_SERVE_PORT": port}, timeout=30, check=False).returncode == 0
    nobody = subprocess.run(command, env={"SIGNAAL_SERVE_PORT": "1"}, capture_output=True, timeout=30, check=False)
    assert nobody.returncode == 1


@pytest.mark.slow
def test_the_environment_of_the_image_can_be_installed_and_scores(bundle_folder: Path, tmp_path: Path) -> None:
    """The commands of the stages ``wheel`` and ``runtime``, in folders here."""
    tools = tmp_path / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True, timeout=120)
    (upgrade,) = re.findall(r"(python -m pip install .*)$", stage("tools"), re.MULTILINE)
    (wheel,) = re.findall(r"^RUN (python -m pip wheel .*)$", stage("wheel"), re.MULTILINE)
    install = " ".join(re.findall(r"(python -m .*)$", stage("runtime"), re.MULTILINE)).replace(" python -m", "\npython -m")
    commands = "\n".join(["set -eu", upgrade, wheel, *install.split("&&")])
    for path in ("/opt/signaal", "/wheel"):
        commands = re.sub(rf"(?<![\w/]){path}\b", f"{tmp_path}{path}", commands)
    commands = commands.replace(" runtime-requirements.txt", f" {DEPLOY}/runtime-requirements.txt")
    environment = os.environ | {"PATH": f"{tools}/bin:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", commands], cwd=ROOT, env=environment, check=True, timeout=900)
    ads, out = tmp_path / "ads.ndjson", tmp_path / "out.ndjson"
    ads.write_text(json.dumps(PROBE["ads"][0]) + "\n")
    call = shlex.split(f"{tmp_path}/opt/signaal/bin/signaal-serve score {ads} -o {out}")
    subprocess.run(call, cwd=tmp_path, env=os.environ | {"SIGNAAL_BUNDLE": str(bundle_folder)}, check=True, timeout=120)
    assert json.loads(out.read_text())["id"] == "a1"
    assert not list(tmp_path.glob("opt/signaal/lib/*/site-packages/torch"))
