"""The page on a server that demands keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from models.runtime import Scorer
from serving.keys.secret import new_token
from serving.keys.store import KeyStore, Scope
from tests.e2e.conftest import Complaints, serving, telling


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    opened = KeyStore(f"sqlite:///{tmp_path}/keys.db")
    yield opened
    opened.close()


@pytest.fixture
def keyed_page(browser: Browser, scorer: Scorer, store: KeyStore, tmp_path: Path, complaints: Complaints) -> Iterator[Page]:
    settings = {"auth": "keys", "database_url": f"sqlite:///{tmp_path}/keys.db"}
    with serving(telling(scorer, scorer.calibration.evidence_threshold), **settings) as address, browser.new_context() as context:
        opened = context.new_page()
        complaints.listen(opened)
        opened.goto(address)
        yield opened


def give(page: Page, token: str) -> None:
    page.get_by_label("API key").fill(token)
    page.get_by_role("button", name="Use this key").click()


def test_the_page_asks_for_a_key_says_what_is_wrong_with_it_and_keeps_it_nowhere(
    keyed_page: Page, store: KeyStore, complaints: Complaints
) -> None:
    page = keyed_page
    field = page.get_by_label("API key")
    expect(field).to_be_visible()
    expect(page.get_by_role("link", name="About the model")).to_be_hidden()
    made, token = store.create("desk", {Scope.SCORE})
    give(page, new_token(made.id))
    expect(page.locator("#key-hint")).to_contain_text("unknown, revoked or expired")
    expect(field).to_be_focused()
    _, for_feedback = store.create("desk", {Scope.FEEDBACK})
    give(page, for_feedback)
    expect(page.locator("#key-hint")).to_contain_text("needs the scope 'score'")
    give(page, f"  {token}\n")
    expect(field).to_be_hidden()
    expect(page.locator("#ready")).to_have_attribute("data-state", "ready")
    page.get_by_label("Text of the ad or post").fill("Your passport stays at the office.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="What the text shows")).to_be_visible()

    kept = page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    )
    secret = token.rsplit("_", 1)[1]
    assert secret not in kept
    assert secret not in page.content()
    assert field.input_value() == ""
    assert page.evaluate("async () => [(await indexedDB.databases()).length, (await caches.keys()).length]") == [0, 0]
    page.reload()
    expect(field).to_be_visible()
    of_status = [line for line in complaints.found if "responded with a status of 40" in line]
    assert complaints.found == of_status


def test_a_key_that_ends_while_the_page_is_open_is_asked_for_anew(keyed_page: Page, store: KeyStore) -> None:
    page = keyed_page
    made, token = store.create("desk", {Scope.SCORE})
    give(page, token)
    expect(page.locator("#ready")).to_have_attribute("data-state", "ready")
    store.revoke(made.id)
    page.wait_for_timeout(5500)
    page.get_by_label("Text of the ad or post").fill("Your passport stays at the office.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#problem")).to_contain_text("A valid key is needed")
    _, other = store.create("desk", {Scope.SCORE})
    give(page, other)
    expect(page.locator("#problem")).to_be_hidden()
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_role("heading", name="What the text shows")).to_be_visible()
