"""The labelling room in a real browser: what a reviewer and an adjudicator do, from signing in to a decision."""

from playwright.sync_api import Browser, expect

from labeling.store.tables import Ad, AdState
from tests.e2e.conftest import Complaints
from tests.e2e.labelling import STRAWBERRIES, Reviewer, bring, opinion_of, sign_in_by_keyboard, someone
from tests.labeling.conftest import set_project
from tests.labeling.web.conftest import Site, suggest

SCRIPTS = "Hi <script>window.ran = 1</script> <img src=x onerror='window.ran = 1'> <b>papers</b> kept &amp; held </textarea> ok"


def test_an_ad_is_labelled_with_two_spans_by_the_keyboard_alone(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        complaints.listen(page)
        sign_in_by_keyboard(page, site.address, "ana")
        ana = Reviewer(page, site)
        ana.press("r")
        ana.select("We keep your passport at the office")
        ana.press("0")
        ana.select("Tell no one that you are coming")
        ana.press("q")
        expect(page.locator("#announce")).to_have_text("Dependency or isolation: Tell no one that you are coming")
        ana.press("t", "ArrowDown")
        ana.saved()
        ana.press("Escape", "Enter")
        ana.shown("Another ad.")
        expect(page.locator("#text")).to_be_focused()
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [(span["label"], STRAWBERRIES[span["start"] : span["end"]]) for span in stored.spans] == [
        ("document_or_earnings_control", "We keep your passport at the office"),
        ("dependency_isolation", "Tell no one that you are coming"),
    ]
    assert stored.document_type == "recruitment_post"
    assert {label for label, there in stored.labels.items() if there} == {"document_or_earnings_control", "dependency_isolation"}
    assert len(stored.labels) == 17
    assert stored.seconds
    assert complaints.found == []


def test_two_annotators_disagree_and_an_adjudicator_decides(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    for name in ("ana", "bea"):
        with someone(browser, site, complaints, name) as reviewer:
            reviewer.press("r")
            reviewer.select("Marek speaks for everyone")
            if name == "ana":
                reviewer.press("1")
            reviewer.press("t", "ArrowDown", "Control+Enter")
            expect(reviewer.page.locator("#nothing-title")).to_have_text("Nothing is left to read")
    with someone(browser, site, complaints, "judy", "/adjudication") as judy:
        judy.page.get_by_role("link", name="Ad 1").click()
        expect(judy.page.get_by_role("cell", name="present", exact=True)).to_have_count(1)
        judy.page.get_by_role("button", name="Show the text").click()
        judy.page.get_by_role("button", name="Begin from A").press("Enter")
        expect(judy.page.locator("#words mark")).to_have_text("Marek speaks for everyone")
        expect(judy.page.locator("#text")).to_be_focused()
        judy.press("Enter")
        expect(judy.page.get_by_role("status").filter(has_text="The decision is stored.")).to_be_visible()
    with site.database.read() as session:
        ad = session.query(Ad).one()
        decision = ad.adjudication
    assert ad.state == AdState.RESOLVED
    assert decision is not None
    assert [STRAWBERRIES[span["start"] : span["end"]] for span in decision.spans] == ["Marek speaks for everyone"]
    assert decision.labels["third_party_control"] is True
    assert complaints.found == []


def test_tags_in_an_ad_or_a_comment_are_shown_and_never_run(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, SCRIPTS)
    set_project(site.database, support_text=SCRIPTS)
    for name in ("ana", "bea"):
        with someone(browser, site, complaints, name) as reviewer:
            reviewer.press("r")
            reviewer.shown(SCRIPTS)
            if name == "ana":
                reviewer.press("Home", "Shift+End", "9")
            reviewer.page.get_by_label("Comment").fill(SCRIPTS)
            reviewer.page.get_by_label("Other").check()
            assert reviewer.page.evaluate("'ran' in window") is False
            assert reviewer.page.locator("main :is(script, b, img)").count() == 0
            reviewer.press("Control+Enter")
            expect(reviewer.page.locator("#nothing-title")).to_be_visible()
    with someone(browser, site, complaints, "judy", "/adjudication/1") as judy:
        expect(judy.page.locator("blockquote").first).to_contain_text("window.ran = 1")
        assert [said.strip() for said in judy.page.locator(".said").all_text_contents()] == [SCRIPTS, SCRIPTS]
        judy.shown(SCRIPTS)
        assert judy.page.evaluate("'ran' in window") is False
        assert judy.page.locator("main :is(script, b, img)").count() == 0
    assert complaints.found == []


def test_a_text_from_right_to_left_is_walked_in_the_direction_of_the_arrow(
    browser: Browser, site: Site, complaints: Complaints
) -> None:
    text = "مطلوب عمال للحصاد. نحتفظ بجواز سفرك في المكتب. لا تخبر أحدا."
    bring(site.database, text, language="ar")
    with someone(browser, site, complaints, "ana") as ana:
        ana.press("r")
        expect(ana.page.locator("#words")).to_have_attribute("dir", "rtl")
        ana.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
        assert ana.cursor == "نحتفظ"
        ana.press("ArrowRight")
        assert ana.cursor == "للحصاد"
        ana.press("ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "0")
        ana.saved()
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [text[span["start"] : span["end"]] for span in stored.spans] == ["نحتفظ بجواز سفرك"]


def test_keys_work_on_a_cyrillic_layout(browser: Browser, site: Site, complaints: Complaints) -> None:
    text = "Паспортът ви остава в офиса, докато изплатите пътя. Не казвайте на никого."
    bring(site.database, text, language="bg")
    with someone(browser, site, complaints, "ana") as ana:
        for key, code in (("р", "KeyR"), ("я", "KeyQ")):  # what a Bulgarian phonetic layout sends
            ana.page.locator("#text").dispatch_event("keydown", {"key": key, "code": code, "bubbles": True})
        expect(ana.page.locator("#words mark")).to_have_text("Паспортът")
        ana.saved()
    stored = opinion_of(site, "ana")
    assert stored is not None
    assert [span["label"] for span in stored.spans] == ["dependency_isolation"]


def test_words_are_marked_with_the_mouse_too(browser: Browser, site: Site, complaints: Complaints) -> None:
    text = "The bus costs 900 euro and that comes off your wages every month."
    bring(site.database, text)
    with someone(browser, site, complaints, "ana") as ana:
        ana.page.get_by_role("button", name="Show the text").click()
        ana.page.get_by_label("Text of the ad").focus()
        box = ana.page.locator("#words").bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        ana.page.mouse.move(box["x"] + 50, middle)  # somewhere in "bus": the selection grows to whole words
        ana.page.mouse.down()
        ana.page.mouse.move(box["x"] + 200, middle, steps=5)
        ana.page.mouse.up()
        chosen = "".join(ana.page.locator("#words .chosen").all_text_contents())
        assert chosen.startswith("bus costs")
        assert set(chosen.split()) <= set(text.split())
        ana.page.locator("#labels").get_by_text("Debt or fees", exact=True).click()
        expect(ana.page.locator("#words mark").first).to_contain_text("bus costs")
        expect(ana.page.get_by_role("checkbox", name="Debt or fees")).to_be_checked()
        ana.page.get_by_role("checkbox", name="Debt or fees").uncheck()
        expect(ana.page.locator("#words mark")).to_have_count(0)
        ana.saved()


def test_what_the_model_takes_the_text_for_stands_beside_that_kind_and_is_not_chosen(
    browser: Browser, site: Site, complaints: Complaints
) -> None:
    bring(site.database, STRAWBERRIES, "Another ad.")
    set_project(site.database, blind=False)
    suggest(site.database, "ad-1", {})
    with someone(browser, site, complaints, "ana") as ana:
        suggested = ana.page.locator(".chip .suggested:visible")
        expect(suggested).to_have_text("model 0.50")
        expect(ana.page.locator(".chip", has=ana.page.locator(".suggested:visible")).locator("input")).to_have_value("other")
        expect(ana.page.locator(".chip input:checked")).to_have_count(0)
        ana.press("r", "t", "ArrowDown", "Escape", "Enter")
        ana.shown("Another ad.")
        expect(suggested).to_have_count(0)
    assert complaints.found == []


def test_undo_and_redo_step_through_what_was_said(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        marks = ana.page.locator("#words mark")
        ana.press("r")
        ana.select("Marek speaks")
        ana.press("1")
        ana.select("passport")
        ana.press("0", "0", "0")  # given, taken, given
        expect(marks).to_have_count(2)
        ana.press("Control+z")
        expect(marks).to_have_count(1)
        ana.press("u", "u")
        expect(marks).to_have_count(1)
        ana.press("u", "u")
        expect(marks).to_have_count(0)
        expect(ana.page.locator("#announce")).to_have_text("There is nothing to undo.")
        ana.press("Control+y", "Control+Shift+z")
        expect(marks).to_have_count(2)
        ana.saved()
        ana.page.reload()
        expect(marks).to_have_count(2)


def test_a_covered_text_is_neither_seen_nor_read_out_nor_marked(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        words = ana.page.locator("#words")
        assert "blur" in words.evaluate("element => getComputedStyle(element).filter")
        expect(words).to_have_attribute("aria-hidden", "true")
        ana.press("1", "ArrowRight", "Enter")
        expect(ana.page.locator("#lack")).to_contain_text("The text is covered")
        expect(ana.page.locator("#words mark")).to_have_count(0)
        ana.press("Space")
        assert words.evaluate("element => getComputedStyle(element).filter") == "none"
        expect(words).to_have_attribute("aria-hidden", "false")
    set_project(site.database, blur=False)
    with someone(browser, site, complaints, "bea") as bea:
        expect(bea.page.locator("#words")).to_have_attribute("aria-hidden", "false")


def test_every_definition_is_one_key_away(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        ana.press("Shift+Digit9")
        definition = ana.page.locator("#definitions [data-definition]:visible")
        expect(definition).to_contain_text("The person must pay or work off costs")
        expect(definition).to_contain_text("a deposit paid by the client")
        ana.press("Shift+KeyQ")
        expect(definition).to_contain_text("Housing, transport, food and contacts")
        ana.press("l", "ArrowDown")
        expect(definition).to_contain_text("Threat, ownership")
        ana.press("Escape", "?")
        expect(ana.page.get_by_role("dialog")).to_contain_text("Select words")
        ana.press("Escape")
        expect(ana.page.locator("#text")).to_be_focused()


def test_a_dialog_that_closes_does_not_take_the_focus_later(browser: Browser, site: Site, complaints: Complaints) -> None:
    """Its `close` event may come as late as after that key: a space meant for a kind of text then covered the text instead."""
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        ana.press("?")
        kind = ana.page.get_by_label("Service ad")
        ana.page.get_by_role("dialog").evaluate(
            """(dialog, kind) => new Promise((closed) => {
                 dialog.addEventListener("close", closed);
                 dialog.close();
                 kind.focus();
               })""",
            kind.element_handle(),
        )
        expect(kind).to_be_focused()


def test_skip_back_pause_and_the_days_limit(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, "One ad.", "Two ads.", "Three ads.", "Four ads.")
    set_project(site.database, daily_limit=3, pause_after=3, support_text="Mira, room 4")
    with someone(browser, site, complaints, "ana") as ana:
        ana.press("k")
        ana.shown("Two ads.")
        ana.press("r", "n", "ArrowDown", "Control+Enter")
        ana.shown("Three ads.")
        pause = ana.page.get_by_role("dialog")
        expect(pause).to_contain_text("Mira, room 4")
        ana.press("Enter")
        expect(pause).to_be_hidden()
        ana.press("b")
        ana.shown("Two ads.")
        expect(ana.page.get_by_label("Cannot decide")).to_have_value("language")
        ana.press("Escape", "r", "t", "Space", "Control+Enter")
        ana.shown("Three ads.")
        ana.press("Escape", "Escape", "r", "t", "Space", "Control+Enter")
        expect(ana.page.locator("#nothing-title")).to_have_text("That is enough for today")
    assert complaints.besides_status(403) == []


def test_the_pages_speak_dutch(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana", "/my-work") as ana:
        ana.page.get_by_label("Language of these pages").select_option("nl")
        ana.page.locator("form[action='/my-work/language'] button").click()
        ana.page.goto(f"{site.address}/review")
        expect(ana.page.locator("#reveal")).to_have_text("Tekst tonen (R)")
        ana.press("r", "9")
        expect(ana.page.locator("#announce")).to_contain_text("Schuld of kosten: ")
        expect(ana.page.locator("#state")).to_have_text("Opgeslagen")
        assert ana.page.locator("html").get_attribute("lang") == "nl"


def test_nothing_of_an_ad_is_left_in_the_browser(browser: Browser, site: Site, complaints: Complaints) -> None:
    bring(site.database, STRAWBERRIES)
    with someone(browser, site, complaints, "ana") as ana:
        ana.press("r", "9")
        ana.saved()
        # The cookie is there, and no script can read it.
        assert ana.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        ana.page.get_by_role("button", name="Sign out").click()
        expect(ana.page.get_by_role("heading", name="Sign in")).to_be_visible()
        ana.page.go_back()
        expect(ana.page.get_by_role("heading", name="Sign in")).to_be_visible()
