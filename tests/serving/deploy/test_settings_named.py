import re
from pathlib import Path

import pytest

from serving.settings import load_model_settings, load_settings
from tests.serving.deploy.files import DEPLOY, KUBERNETES, ROOT, SETTINGS, documents, image_environment

FILES = [path for path in [*DEPLOY.rglob("*"), ROOT / "docs" / "deployment.md"] if path.is_file()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_that_a_file_names_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"SIGNAAL_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert named <= SETTINGS


def given() -> dict[str, dict[str, str]]:
    """What each way of running sets, by its name."""
    image = image_environment()
    compose = documents(DEPLOY / "compose.yaml")[0]["services"]["signaal"]["environment"]
    container = documents(KUBERNETES / "statefulset.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    unit = re.findall(r"^Environment=(\w+)=(.*)$", (DEPLOY / "signaal.service").read_text(), re.MULTILINE)
    return {
        "image": image,
        "compose": image | compose,
        "kubernetes": image | {one["name"]: one["value"] for one in container["env"]},
        "systemd": dict(unit),
    }


@pytest.mark.parametrize("way", ["image", "compose", "kubernetes", "systemd"])
def test_what_the_files_set_is_accepted(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {name: value for name, value in given()[way].items() if name.startswith("SIGNAAL_")}
    if "SIGNAAL_SECRETS_DIR" in values:
        values["SIGNAAL_SECRETS_DIR"] = str(tmp_path)
    values["SIGNAAL_PRECISION"] = values.get("SIGNAAL_PRECISION", "fp32").replace("${SIGNAAL_PRECISION}", "fp32")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    serving, model = load_settings(), load_model_settings()
    assert serving.host == values.get("SIGNAAL_SERVE_HOST", "127.0.0.1")
    assert str(model.cache_dir) == values["SIGNAAL_CACHE_DIR"]
    assert model.bundle in ("released", "auto")
