"""The deployment files as data, for the tests beside this module."""

import re
from pathlib import Path
from typing import Any

import yaml

from models.settings import ModelSettings
from serving.settings import PREFIX, SECRETS_DIR, ServingSettings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "serving" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
USER = 10001

SETTINGS = {
    *(PREFIX + name.upper() for name in ServingSettings.model_fields),
    *("SIGNAAL_" + name.upper() for name in ModelSettings.model_fields),
    SECRETS_DIR,
}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def dockerfile() -> str:
    """The Dockerfile with its continued lines joined."""
    return re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))


def stage(name: str) -> str:
    """The instructions of one stage, without those of the stage it begins from."""
    (found,) = (part for part in re.split(r"^FROM ", dockerfile(), flags=re.MULTILINE) if f" AS {name}\n" in part)
    return found


def image_environment() -> dict[str, str]:
    """What ENV sets in the server's image."""
    lines = re.findall(r"^ENV (.*)$", stage("machine") + stage("signaal") + stage("server"), re.MULTILINE)
    return dict(part.split("=", 1) for line in lines for part in line.split())
