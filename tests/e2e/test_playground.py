"""The page at /, in a real browser, on a real server, with a real scorer."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.e2e.conftest import Complaints

HARVEST = (
    "🍓👩🏽‍🌾🚐 Strawberry pickers wanted! 🇵🇱\n"
    "We keep your passport at the office until the travel costs are paid back. 💶💶\n"
    "Tell no one that you are coming; Marek speaks for everyone."
)


def score(page: Page, text: str) -> dict[str, Any]:
    """Score by the keyboard alone, from an empty page on; gives what the service answered."""
    page.get_by_label("Text of the ad or post").focus()
    page.keyboard.insert_text(text)
    with page.expect_response("**/v1/score") as waited:
        page.keyboard.press("Control+Enter")
    answer: Response = waited.value
    assert answer.ok
    expect(page.get_by_role("heading", name="What the text shows")).to_be_visible()
    result: dict[str, Any] = answer.json()["results"][0]
    return result


def labels_of(result: dict[str, Any]) -> dict[str, Any]:
    return {**result["indicators"], **result["counter_indicators"]}


def code_points(text: str, labels: str) -> set[tuple[int, str]]:
    """The characters of ``text`` with where they stand, for comparing what is marked with what should be."""
    return {(i, label) for i, _ in enumerate(text) for label in labels.split()}


def marked(page: Page) -> tuple[str, set[tuple[int, str]]]:
    """The whole text as shown, and each code point of it that is marked with each label it is marked for."""
    nodes: list[list[str]] = page.locator("#marked").evaluate(
        "place => [...place.childNodes].map(node => [node.textContent, node.dataset?.labels ?? ''])"
    )
    whole, places = "", set()
    for text, labels in nodes:
        places |= {(len(whole) + i, label) for i, label in code_points(text, labels)}
        whole += text
    return whole, places


def test_a_text_is_scored_by_the_keyboard_alone(page: Page, complaints: Complaints) -> None:
    result = score(page, HARVEST)
    expect(page.locator("#indicators li.label")).to_have_count(len(result["indicators"]))
    expect(page.locator("#counters li.label")).to_have_count(len(result["counter_indicators"]))
    expect(page.locator("#announce")).to_contain_text("Scored. Indicators:")
    expect(page.get_by_label("Text of the ad or post")).to_be_focused()
    assert complaints.found == []


def test_evidence_after_emoji_is_marked_at_the_very_words(page: Page) -> None:
    result = score(page, HARVEST)
    spans = [(label, span) for label, one in labels_of(result).items() for span in one["evidence"]]
    assert any(span["start"] > HARVEST.index("🚐") for _, span in spans)
    assert all(HARVEST[span["start"] : span["end"]] == span["text"] for _, span in spans)
    whole, places = marked(page)
    assert whole == HARVEST
    assert places == {(i, label) for label, span in spans for i in range(span["start"], span["end"])}


def test_labels_come_by_status_then_by_probability(page: Page) -> None:
    result = score(page, HARVEST)
    rank = {"present": 0, "uncertain": 1, "absent": 2}
    indicators = result["indicators"]
    expected = sorted(indicators, key=lambda label: (rank[indicators[label]["status"]], -indicators[label]["probability"]))
    shown = page.locator("#indicators li.label").evaluate_all("rows => rows.map(row => row.dataset.label)")
    assert shown == expected


def test_a_status_is_said_in_words(page: Page) -> None:
    result = score(page, HARVEST)
    words = {"present": "present", "uncertain": "uncertain: a person must look", "absent": "absent"}
    for label, one in result["indicators"].items():
        expect(page.locator(f"#indicators [data-label={label}] .status")).to_have_text(words[one["status"]])


def test_pointing_at_words_and_at_indicators_shows_what_belongs_together(page: Page) -> None:
    score(page, HARVEST)
    mark = page.locator("#marked mark").first
    labels = (mark.get_attribute("data-labels") or "").split()
    mark.hover()
    lit = page.locator("li.label.on").evaluate_all("rows => rows.map(row => row.dataset.label)")
    assert sorted(lit) == sorted(labels)
    page.locator(f"li.label[data-label={labels[0]}]").hover()
    expect(mark).to_have_class("on")


def test_marked_words_are_reached_by_tab_and_lead_to_their_indicator(page: Page) -> None:
    score(page, HARVEST)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "MARK":
            break
    focused = page.locator("mark:focus")
    label = (focused.get_attribute("data-labels") or "").split()[0]
    expect(page.locator(f"li.label[data-label={label}]")).to_have_class("label on")
    page.keyboard.press("Enter")
    expect(page.locator(f"li.label[data-label={label}] summary")).to_be_focused()


@pytest.mark.parametrize("server", ["address", "all_evidence_address"])
def test_tags_in_a_text_are_shown_and_never_run(
    page: Page, complaints: Complaints, request: pytest.FixtureRequest, server: str
) -> None:
    page.goto(request.getfixturevalue(server))
    page.wait_for_selector("#ready[data-state=ready]")
    text = "Hi 🙂 <script>window.ran = 1</script> <img src=x onerror='window.ran = 1'> <b>passport</b> &amp; kept </textarea> ok"
    result = score(page, text)
    if server == "all_evidence_address":
        assert all("<script>" in one["evidence"][0]["text"] for one in labels_of(result).values())
    assert marked(page)[0] == text
    assert page.evaluate("'ran' in window") is False
    assert page.locator("main :is(script, b, img)").count() == 0
    assert complaints.found == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 20_001, "The text has 20001 characters; at most 20000 are allowed."),
        (" \n ", "The text is empty or blank; there is nothing to score."),
    ],
)
def test_what_is_refused_is_said_in_words(page: Page, complaints: Complaints, text: str, reason: str) -> None:
    page.get_by_label("Text of the ad or post").fill(text)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text(reason)
    expect(page.get_by_label("Text of the ad or post")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#results")).to_be_hidden()
    assert complaints.besides_status(422) == []


def test_an_error_takes_the_scores_of_the_text_before_away(page: Page) -> None:
    score(page, HARVEST)
    page.get_by_label("Text of the ad or post").fill("")
    expect(page.locator("#stale")).to_be_visible()
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#results")).to_be_hidden()
    assert page.locator("#marked").text_content() == ""


def test_a_service_that_is_gone_is_said_in_words(page: Page) -> None:
    page.context.set_offline(True)
    page.get_by_label("Text of the ad or post").fill(HARVEST)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")


def test_an_example_can_be_undone(page: Page) -> None:
    box = page.get_by_label("Text of the ad or post")
    box.focus()
    page.keyboard.insert_text("my own text")
    page.get_by_role("button", name="Harvest work, papers kept").click()
    assert "STRAWBERRY" in box.input_value()
    page.keyboard.press("Control+z")
    expect(box).to_have_value("my own text")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, address: str, complaints: Complaints, scheme: Any) -> None:
    with browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme) as context:
        page = context.new_page()
        complaints.listen(page)
        page.goto(address)
        page.wait_for_selector("#ready[data-state=ready]")
        score(page, f"{HARVEST}\n{'unbroken' * 60}")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert complaints.found == []


def test_a_scorer_that_finds_nothing_is_shown_too(browser: Browser, plain_address: str, complaints: Complaints) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        complaints.listen(page)
        page.goto(plain_address)
        result = score(page, "A cat was lost near the park.")
        expect(page.locator("#indicators li.label")).to_have_count(len(result["indicators"]))
        assert complaints.found == []


def test_nothing_of_a_text_is_left_in_the_browser(page: Page) -> None:
    score(page, HARVEST)
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.reload()
    expect(page.get_by_label("Text of the ad or post")).to_have_value("")
