"""What ``docs/clients.md`` shows must work as it stands."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from models.runtime import Scorer
from serving.app import create_app
from serving.settings import ServingSettings
from tests.serving.conftest import only
from tests.serving.listening import ROOT, listening

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/clients.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def url(eager_scorer: Scorer) -> Iterator[str]:
    with listening(create_app(only(lambda: eager_scorer), ServingSettings())) as url:
        yield url


@pytest.mark.parametrize(("block", "says"), enumerate([r"a1 debt_or_fees \w+ 0\.\d+ \[.*422 model\n$", "^$", "20 19\n$"]))
def test_a_program_of_the_page_runs(url: str, block: int, says: str) -> None:
    program = BLOCKS[block].replace("http://127.0.0.1:8080", url)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(says, done.stdout, re.DOTALL), done.stdout
