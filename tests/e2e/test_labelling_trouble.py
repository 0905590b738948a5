"""What stands in a reviewer's way, in a real browser: lost answers, a server that is away, two windows, a closed page."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from labeling.store.tables import Ad, AdState, AnnotationVersion, Assignment, AssignmentState, SignInSession
from labeling.web.access import utc_now
from labeling.work.assignment import next_assignment
from tests.e2e.conftest import Complaints
from tests.e2e.labelling import STRAWBERRIES, Reviewer, bring, opinion_of, sign_in_by_keyboard, someone
from tests.labeling.conftest import set_project
from tests.labeling.web.conftest import Site

SAVES, SKIPS = "**/api/assignments/*/annotation", "**/api/assignments/*/skip"
TROUBLE = "#trouble"


@contextmanager
def losing_answers(page: Page, address: str = SAVES) -> Iterator[list[int]]:
    """Requests reach the server; its answers never reach the page. Gives their statuses."""
    lost: list[int] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().status)
        route.abort()

    page.route(address, lose)
    yield lost
    page.unroute(address)


def history(site: Site) -> list[bool]:
    """Every version that was stored, in order: whether it was done."""
    with site.database.read() as session:
        return [one.done for one in session.query(AnnotationVersion).order_by(AnnotationVersion.version)]


def state_of(site: Site, name: str, ad_id: str = "ad-1") -> str:
    with site.database.read() as session:
        found = session.query(Assignment).join(Ad)
        return found.filter(Assignment.account_id == site.ids[name], Ad.id == ad_id).one().state


def until_lost(page: Page, lost: list[int]) -> None:
    """Wait until an answer got lost."""
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    assert set(lost) == {200}


def test_two_windows_lose_nothing_of_each_other(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        other = Reviewer(ana.page.context.new_page(), site)
        other.page.goto(f"{site.address}/review")
        expect(other.page.locator("#work")).to_be_visible()
        other.press("r")
        other.select("Marek speaks")
        other.press("1")
        other.saved()
        ana.page.bring_to_front()
        ana.press("r")
        ana.select("passport")
        ana.press("0")
        conflict = ana.page.get_by_role("alert").filter(has_text="saved elsewhere")
        expect(conflict).to_be_visible()
        expect(ana.page.locator("#words mark")).to_have_text(["passport"])
        conflict.get_by_role("button", name="Take the stored one").click()
        expect(conflict).to_be_hidden()
        expect(ana.page.locator("#words mark")).to_have_text(["Marek speaks"])
        ana.press("Control+y")
        expect(ana.page.locator("#words mark")).to_have_text(["passport"])
        ana.saved()
        other.page.bring_to_front()
        other.select("Tell no one")
        other.press("q")
        expect(other.page.locator("#conflict")).to_be_visible()
        other.page.get_by_role("button", name="Keep mine").click()
        other.saved()
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [STRAWBERRIES[span["start"] : span["end"]] for span in stored.spans] == ["Tell no one", "Marek speaks"]
    assert complaints.besides_status(409) == []


def test_a_server_that_is_away_for_a_while_loses_nothing(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.press("r")
        ana.page.context.set_offline(True)
        ana.press("7")
        expect(ana.page.locator("#state")).to_contain_text("Not saved: the server does not answer")
        ana.press("ArrowRight", "8")
        ana.page.context.set_offline(False)
        ana.saved()
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert {span["label"] for span in stored.spans} == {"obfuscated_contact", "deceptive_offer"}


def test_who_was_signed_out_signs_in_again_and_goes_on(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, Complaints(), "ana") as ana:
        with site.database.write() as session:
            session.query(SignInSession).delete()
        ana.press("r", "7")
        trouble = ana.page.get_by_role("alert").filter(has_text="You are signed out")
        expect(trouble).to_be_visible()
        with ana.page.context.expect_page() as opened:
            trouble.get_by_role("link").click()
        sign_in_by_keyboard(opened.value, site.address, "ana")
        opened.value.close()
        trouble.get_by_role("button", name="Try again").click()
        ana.saved()
        expect(trouble).to_be_hidden()
    assert opinion_of(site, "ana") is not None


def test_a_save_whose_answer_is_lost_is_no_conflict(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.press("r")
        ana.page.get_by_label("Comment").fill("call +31 6 1234 5678")  # a number is masked before it is stored
        with losing_answers(ana.page) as lost:
            ana.press("Escape", "7")
            until_lost(ana.page, lost)
        ana.saved()
        assert history(site) == [False]
        with losing_answers(ana.page) as lost:
            ana.press("ArrowRight", "8")
            until_lost(ana.page, lost)
            ana.press("ArrowRight", "9")  # work goes on meanwhile
        ana.saved()
        expect(ana.page.locator("#conflict")).to_be_hidden()
    assert history(site) == [False] * 3
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [span["label"] for span in stored.spans] == ["obfuscated_contact", "deceptive_offer", "debt_or_fees"]


def test_done_whose_answer_is_lost_goes_on_to_the_next_ad(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.press("r", "7", "t", "ArrowDown")
        with losing_answers(ana.page) as lost:
            ana.press("Control+Enter")
            until_lost(ana.page, lost)
        ana.shown("Another ad.")
        ana.saved()
    assert history(site).count(True) == 1
    assert state_of(site, "ana") == AssignmentState.DONE


def test_who_changes_something_after_a_done_without_an_answer_is_not_done_yet(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.press("r", "7", "t", "ArrowDown")
        with losing_answers(ana.page) as lost:
            ana.press("Control+Enter")
            until_lost(ana.page, lost)
            ana.press("Escape", "ArrowRight", "8")
        ana.saved()
        ana.shown(STRAWBERRIES)
        assert state_of(site, "ana") == AssignmentState.OPEN
        ana.press("Enter")
        ana.shown("Another ad.")
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert {span["label"] for span in stored.spans} == {"obfuscated_contact", "deceptive_offer"}
    assert state_of(site, "ana") == AssignmentState.DONE


def test_a_decision_whose_answer_is_lost_is_not_someone_elses(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES)
    for name, labels in (("ana", {"debt_or_fees": True}), ("bea", {})):
        visitor = site.visitor(name)
        visitor.save(visitor.get("/api/next").json()["assignment"], 0, labels=labels, document_type="other", done=True)
    with someone(browser, site, Complaints(), "judy", "/adjudication/1") as judy:
        judy.page.get_by_role("button", name="Show the text").click()
        judy.page.get_by_role("button", name="Begin from A").press("Enter")
        with losing_answers(judy.page, "**/api/adjudication/*"):
            judy.press("Enter")
            expect(judy.page.locator(TROUBLE)).to_contain_text("The server does not answer")
        judy.press("Enter")
        expect(judy.page.get_by_role("status").filter(has_text="The decision is stored.")).to_be_visible()
    with site.database.read() as session:
        assert session.query(Ad).one().state == AdState.RESOLVED


@pytest.mark.parametrize("button", ["Keep mine", "Leave it as it is there"])
def test_an_ad_that_was_finished_in_another_window_is_no_trap(browser: Browser, site: Site, button: str) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana") as ana:
        visitor = site.visitor("ana")
        visitor.save(visitor.get("/api/next").json()["assignment"], 0, document_type="other", done=True)
        ana.press("r", "7")
        expect(ana.page.locator("#conflict")).to_contain_text("It was finished there")
        ana.page.get_by_role("button", name=button).click()
        if button == "Keep mine":
            ana.saved()
            assert state_of(site, "ana") == AssignmentState.OPEN
            ana.press("t", "ArrowDown", "Control+Enter")
        ana.shown("Another ad.")
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert len(stored.spans) == (button == "Keep mine")


def test_a_skip_while_the_server_is_away_is_told_and_tried_again(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana") as ana:
        for key in ("b", "k"):
            ana.page.context.set_offline(True)
            ana.press(key)
            expect(ana.page.locator(TROUBLE)).to_contain_text("The server does not answer")
            ana.page.context.set_offline(False)
            ana.page.get_by_role("button", name="Try again").click()
            expect(ana.page.locator(TROUBLE)).to_be_hidden()
        ana.shown("Another ad.")
        expect(ana.page.locator("#text")).to_be_focused()
    assert state_of(site, "ana") == AssignmentState.SKIPPED


def test_a_next_ad_that_does_not_come_is_asked_for_again(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.page.route("**/api/next", lambda route: route.abort())
        ana.press("k")
        expect(ana.page.locator(TROUBLE)).to_contain_text("The server does not answer")
        expect(ana.page.locator("#work")).to_be_hidden()
        ana.page.unroute("**/api/next")
        ana.press("Enter")  # the button has the focus
        ana.shown("Another ad.")


def test_a_refusal_without_words_of_ours_is_told_in_the_readers_language(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with someone(browser, site, Complaints(), "ana", "/my-work") as ana:
        ana.page.get_by_label("Language of these pages").select_option("nl")
        ana.page.locator("form[action='/my-work/language'] button").click()
        ana.page.goto(f"{site.address}/review")
        ana.shown(STRAWBERRIES)
        ana.page.route(SKIPS, lambda route: route.fulfill(status=502, body="<html>Bad Gateway</html>"))
        ana.press("k")
        expect(ana.page.locator(TROUBLE)).to_contain_text("De server kon dat niet doen.")
        ana.page.unroute(SKIPS)
        ana.page.get_by_role("button", name="Opnieuw proberen").click()
        ana.shown("Another ad.")


def test_an_ad_that_another_has_now_is_left_for_the_next_one(browser: Browser, site: Site) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    set_project(site.database, overlap=1)
    with someone(browser, site, Complaints(), "ana") as ana:
        with site.database.write() as session:
            session.query(Assignment).one().leased_until = utc_now() - timedelta(hours=1)
        with site.database.write() as session:
            assert next_assignment(session, site.ids["bea"], utc_now())
        ana.press("r", "7")
        expect(ana.page.locator(TROUBLE)).to_contain_text("no longer open to you")
        ana.page.get_by_role("button", name="On to the next ad").click()
        ana.shown("Another ad.")
        expect(ana.page.locator(TROUBLE)).to_be_hidden()


@pytest.mark.parametrize("asked", [True, False])
def test_a_page_that_is_closed_at_once_sends_the_last_change(browser: Browser, site: Site, asked: bool) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, Complaints(), "ana") as ana:
        ana.press("r", "7")
        ana.page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?"
        ana.page.close(run_before_unload=asked)  # well within the pause before a save
        until = utc_now() + timedelta(seconds=20)
        while opinion_of(site, "ana") is None and utc_now() < until:
            ana.page.context.pages or browser.contexts[-1].new_page()  # lets the browser's messages through
            time.sleep(0.05)
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [span["label"] for span in stored.spans] == ["obfuscated_contact"]
