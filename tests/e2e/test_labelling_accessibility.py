"""axe-core on every page of the labelling room, and every page on a phone."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from labeling.store.database import Database
from labeling.web.rendering import PAGES
from tests.e2e.conftest import Complaints
from tests.e2e.labelling import STRAWBERRIES, bring, someone
from tests.labeling.conftest import set_project
from tests.labeling.web.conftest import Site, serving_pages, suggest
from tests.labeling.web.test_dashboard import until

SERIOUS = ("serious", "critical")
SAID: dict[str, Any] = {"labels": {"debt_or_fees": True, "states_limits": True}, "document_type": "other"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With a case to decide, an ad to read that a model has read, and someone to turn to. Bea has nothing left, in Dutch."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('labelling')}/labeling.db")
    with serving_pages(database) as served:
        bring(database, STRAWBERRIES, STRAWBERRIES.replace("Strawberry", "Apple"))
        set_project(database, blind=False, support_text="Mira, room 4")
        for name, spans in (("ana", [{"start": 0, "end": 30, "label": "debt_or_fees"}]), ("bea", [])):
            with closing(served.visitor(name)) as visitor:
                said = {**SAID, "spans": spans, "comment": "see the second line"} if spans else {"document_type": "other"}
                visitor.save(visitor.get("/api/next").json()["assignment"], 0, **said, done=True)
        with closing(served.visitor("bea")) as bea:
            bea.act("POST", f"/api/assignments/{bea.get('/api/next').json()['assignment']}/skip")
            bea.act("POST", "/my-work/language", data={"language": "nl"})
        seen = {"probability": 0.9, "status": "present", "spans": [{"start": 4, "end": 20}]}
        suggest(database, "ad-2", {"debt_or_fees": seen, "absent_limits": {**seen, "status": "uncertain"}})
        yield served
    database.close()


def serious(page: Page) -> list[tuple[str, str, str]]:
    """Rule, page and first place of every serious or critical violation."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], page.url, str(one["nodes"][0]["target"])) for one in found if one["impact"] in SERIOUS]


def uncover(page: Page) -> None:
    if page.locator("#reveal").count():
        page.locator("#text").press("r")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(browser: Browser, site: Site, complaints: Complaints, scheme: Any) -> None:
    found = []
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{site.address}/sign-in")
        found += serious(page)
    with someone(browser, site, complaints, "root", color_scheme=scheme) as root:
        for address in (*(address for address, _, _ in PAGES), "/adjudication/1", "/no-such-page"):
            root.page.goto(site.address + address)
            if root.page.locator("#work").count():
                expect(root.page.locator("#work")).to_be_visible()
            if address == "/dashboard":  # its figures are counted beside the page
                until(lambda: root.page.reload() and root.page.locator("#agreement").count())
            found += serious(root.page)
            root.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            uncover(root.page)
            found += serious(root.page)
        root.page.goto(f"{site.address}/review")
        expect(root.page.locator("#work")).to_be_visible()
        root.press("r", "9", "ArrowDown", "Shift+ArrowRight", "a", "Shift+ArrowRight", "Shift+Digit9")
        found += serious(root.page)
        root.press("?")
        expect(root.page.get_by_role("dialog")).to_be_visible()
        found += serious(root.page)
        root.press("Escape")
        root.page.evaluate("for (const id of ['conflict', 'trouble']) document.getElementById(id).hidden = false")
        root.page.locator("#lack").evaluate("element => { element.textContent = 'something is missing' }")
        found += serious(root.page)
        root.page.locator("#pause").evaluate("dialog => dialog.showModal()")
        found += serious(root.page)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nor_has_a_page_in_dutch_when_nothing_is_left_and_a_form_that_is_refused(
    browser: Browser, site: Site, complaints: Complaints, scheme: Any
) -> None:
    with someone(browser, site, complaints, "bea", color_scheme=scheme) as bea:
        expect(bea.page.locator("#nothing")).to_be_visible()
        expect(bea.page.locator("html")).to_have_attribute("lang", "nl")
        assert serious(bea.page) == []
        bea.page.goto(f"{site.address}/my-work")
        for field in ("old", "new", "again"):
            bea.page.locator(f"#{field}").fill(f"not the {field} one")
        bea.press("Enter")
        expect(bea.page.get_by_role("alert")).to_be_visible()
        assert serious(bea.page) == []


def test_axe_would_find_a_barrier(browser: Browser, site: Site, complaints: Complaints) -> None:
    with someone(browser, site, complaints, "ana", "/my-work") as ana:
        ana.page.evaluate("document.querySelector('label[for=limit]').remove()")
        assert "label" in {rule for rule, _, _ in serious(ana.page)}


def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, site: Site, complaints: Complaints) -> None:
    with someone(browser, site, complaints, "root", viewport={"width": 360, "height": 740}) as root:
        for address in (*(address for address, _, _ in PAGES), "/adjudication/1"):
            root.page.goto(site.address + address)
            root.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            assert (address, root.page.evaluate("document.documentElement.scrollWidth")) == (address, 360)
