"""A reviewer in a real browser, before a real server of the labelling pages."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Browser, Page, expect

from labeling.intake.importing import import_ads
from labeling.store.database import Database
from labeling.store.tables import Ad, Assignment, StoredAnnotation
from labeling.web.access import SESSION_COOKIE
from tests.e2e.conftest import Complaints
from tests.labeling.conftest import PASSWORD
from tests.labeling.web.conftest import Site

expect.set_options(timeout=30_000)  # tests run beside others, and a wait costs nothing when the page is quick

STRAWBERRIES = (
    "🍓👩🏽‍🌾🚐 Strawberry pickers wanted! 🇵🇱\n"
    "We keep your passport at the office until the season ends. 💶💶\n"
    "Tell no one that you are coming; Marek speaks for everyone."
)


def bring(database: Database, *texts: str, language: str = "en") -> None:
    """Import ads, to be given out in this order."""
    rows = ((n, {"id": f"ad-{n}", "text": text, "language": language}) for n, text in enumerate(texts, 1))
    assert import_ads(database, rows, "test.jsonl", datetime.now(UTC)).imported == len(texts)
    with database.write() as session:
        for n, ad in enumerate(session.query(Ad).order_by(Ad.number)):
            ad.rank = n


def opinion_of(site: Site, name: str, ad_id: str = "ad-1") -> StoredAnnotation | None:
    """What is stored of someone's opinion on an ad."""
    with site.database.read() as session:
        found = session.query(StoredAnnotation).join(Assignment).join(Ad)
        return found.filter(Assignment.account_id == site.ids[name], Ad.id == ad_id).one_or_none()


@dataclass
class Reviewer:
    """Someone at the keyboard."""

    page: Page
    site: Site

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def select(self, words: str) -> None:
        """With arrow keys: these words, wherever the cursor is. They must be words of the ad, and stand in it once."""
        self.press("Home")
        first, *others = words.split()
        for _ in range(200):
            if self.cursor == first:
                break
            self.press("ArrowRight")
        assert self.cursor == first
        for _ in others:
            self.press("Shift+ArrowRight")

    @property
    def cursor(self) -> str:
        return "".join(self.page.locator("#words .cursor").all_text_contents())

    def saved(self) -> None:
        expect(self.page.locator("#state")).to_have_attribute("data-state", "saved")

    def shown(self, text: str) -> None:
        expect(self.page.locator("#words")).to_have_text(text, use_inner_text=False)


@contextmanager
def someone(
    browser: Browser, site: Site, complaints: Complaints, name: str, address: str = "/review", **context: Any
) -> Iterator[Reviewer]:
    """Someone signed in, on a page of 1280 × 900, with an ad before them where the page is the review page."""
    settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **context}
    with browser.new_context(**settings) as opened:
        with closing(site.visitor(name)) as visitor:
            token = visitor.cookies[SESSION_COOKIE]
        cookie = {"name": SESSION_COOKIE, "value": token, "url": site.address, "httpOnly": True, "sameSite": "Strict"}
        opened.add_cookies([cookie])  # type: ignore[list-item]
        page = opened.new_page()
        complaints.listen(page)
        page.goto(site.address + address)
        if address == "/review":
            expect(page.locator("#work, #nothing").locator("visible=true")).to_have_count(1)
        yield Reviewer(page, site)


def sign_in_by_keyboard(page: Page, address: str, name: str) -> None:
    """From the first page on, without a pointer."""
    page.goto(address)
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()
