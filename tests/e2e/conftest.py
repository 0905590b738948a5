"""A real server and a real browser. The scorer is the small real one; only its thresholds are moved (see below)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from labeling.store.database import Database
from models.calibration import Calibration
from models.runtime import Scorer
from serving.app import create_app
from serving.settings import load_settings
from tests.labeling.web.conftest import Site, serving_pages
from tests.serving.conftest import only

CHROMIUM = Path("/usr/bin/chromium")
# Without these Chromium asks its makers for updates and the like, which a machine without a network answers slowly.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Complaints:
    """What the browser said went wrong: script errors, console errors and warnings, breaches of the security policy."""

    found: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.found.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(message.text)

    def besides_status(self, status: int) -> list[str]:
        """All but the line that Chromium writes for an answer with this HTTP status, which no page can prevent."""
        return [line for line in self.found if f"responded with a status of {status} " not in line]


def telling(scorer: Scorer, evidence_threshold: float) -> Scorer:
    """The real scorer, for which every other label is always present and the rest always uncertain.

    A barely trained network may find nothing, and then the page has nothing to mark. Evidence and offsets stay its own.
    """
    thresholds = [(0.0, 0.0), (0.0, 1.1)]
    labels = {
        name: replace(one, absent_below=thresholds[i % 2][0], present_from=thresholds[i % 2][1])
        for i, (name, one) in enumerate(scorer.calibration.labels.items())
    }
    calibration: Calibration = replace(scorer.calibration, labels=labels, evidence_threshold=evidence_threshold)
    return Scorer(scorer.runner, scorer.taxonomy, calibration, scorer.identity, metrics=scorer.metrics, card=scorer.card)


@contextmanager
def serving(scorer: Scorer, **settings: str) -> Iterator[str]:
    """A uvicorn server on a free port; gives its address once the model has scored its probe text."""
    application = create_app(only(lambda: scorer), load_settings(port=0, **settings))
    config = uvicorn.Config(application, port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield _address_when_ready(server)
    finally:
        server.should_exit = True
        thread.join(10)


def _address_when_ready(server: uvicorn.Server) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if server.started:
            address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            if httpx.get(f"{address}/readyz").is_success:
                return address
        time.sleep(0.1)
    raise TimeoutError("The server was not ready within a minute.")


@pytest.fixture(scope="module")
def address(scorer: Scorer) -> Iterator[str]:
    with serving(telling(scorer, scorer.calibration.evidence_threshold)) as where:
        yield where


@pytest.fixture(scope="module")
def all_evidence_address(scorer: Scorer) -> Iterator[str]:
    """Of a server for which the whole text is evidence, whatever stands in it."""
    with serving(telling(scorer, 0.0)) as where:
        yield where


@pytest.fixture(scope="module")
def plain_address(scorer: Scorer) -> Iterator[str]:
    """Of a server whose scorer decides as it is."""
    with serving(scorer) as where:
        yield where


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"THE PAGES ARE NOT TESTED: there is no {CHROMIUM}. Install it: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The labelling pages."""
    database = Database(f"sqlite:///{tmp_path}/labeling.db")
    with serving_pages(database) as served:
        yield served
    database.close()


@pytest.fixture
def page(browser: Browser, address: str, complaints: Complaints) -> Iterator[Page]:
    """The playground, opened, in a window of 1280 × 900."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as context:
        opened = context.new_page()
        complaints.listen(opened)
        opened.goto(address)
        opened.wait_for_selector("#ready[data-state=ready]")
        yield opened
