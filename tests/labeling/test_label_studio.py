import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.annotation import Annotation
from labeling.label_studio import ExchangedAd, config_xml, from_tasks, to_tasks
from labeling.regions import place_of
from models.example import Span
from models.taxonomy import packaged_taxonomy

TAXONOMY = packaged_taxonomy()
AD = ExchangedAd(id="ad-1", text="👩\u200d👧 🚌🚌 You pay back\r\nthe bus first.", language="en")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)


@st.composite
def annotated(draw: st.DrawFn) -> tuple[ExchangedAd, Annotation]:
    text = draw(TEXTS)
    labels = {label: draw(st.booleans()) for label in TAXONOMY.label_ids if draw(st.booleans())}
    present = sorted(label for label, there in labels.items() if there)
    spans = []
    for label in present:
        for _ in range(draw(st.integers(0, 2))):
            start = draw(st.integers(0, len(text) - 1))
            spans.append(Span(start=start, end=draw(st.integers(start + 1, len(text))), label=label))
    annotation = Annotation(
        ad_id="ad-1",
        annotator=draw(st.sampled_from(["3", "17"])),
        labels=labels,
        document_type=draw(st.sampled_from([None, *TAXONOMY.document_type_ids])),
        spans=tuple(spans),
        cannot_decide=draw(st.sampled_from([None, "context", "other"])),
        comment=draw(st.sampled_from(["", "the second line is cut off"])),
        seconds=draw(st.sampled_from([None, 12.5])),
        saved_at=draw(st.sampled_from([None, datetime(2026, 11, 29, tzinfo=UTC)])),
    )
    return ExchangedAd(id="ad-1", text=text, language="nl"), annotation


@settings(deadline=None)
@given(annotated())
def test_what_goes_to_label_studio_comes_back_the_same(pair: tuple[ExchangedAd, Annotation]) -> None:
    ad, annotation = pair
    tasks = json.loads(json.dumps(to_tasks([ad], [annotation], taxonomy=TAXONOMY)))
    assert from_tasks(tasks, TAXONOMY) == ([ad], [annotation], [])


@settings(deadline=None)
@given(annotated())
def test_offsets_in_utf16_units_come_back_as_code_points(pair: tuple[ExchangedAd, Annotation]) -> None:
    """As older versions of Label Studio stored them. Where the words would fit as code points as well, code points win."""
    ad, annotation = pair
    tasks = to_tasks([ad], [annotation], taxonomy=TAXONOMY)
    for region in tasks[0]["annotations"][0]["result"]:
        if region["type"] == "labels":
            value = region["value"]
            start, end = value["start"], value["end"]
            value["start"] = len(ad.text[:start].encode("utf-16-le")) // 2
            value["end"] = len(ad.text[:end].encode("utf-16-le")) // 2
    _, (back,), problems = from_tasks(tasks, TAXONOMY)
    assert problems == []
    for before, after in zip(annotation.spans, back.spans, strict=True):
        assert ad.text[before.start : before.end].split() == ad.text[after.start : after.end].split()


@pytest.mark.parametrize(
    ("start", "end", "said", "words"),
    [
        (15, 19, "back", "back"),
        (19, 23, "back", "back"),  # UTF-16 units
        (20, 23, "the", "the"),  # CR LF counted as one
        (24, 27, "the", "the"),  # both
        (15, 24, "back\\nthe", "back\r\nthe"),
        (15, 19, None, "back"),
    ],
)
def test_a_region_is_where_its_words_are(start: int, end: int, said: str | None, words: str) -> None:
    place = place_of(AD.text, start, end, said)
    assert place is not None
    assert AD.text[slice(*place)] == words


@pytest.mark.parametrize(("start", "end", "said"), [(0, 4, "elsewhere"), (90, 99, None), (4, 4, None), (-3, 2, None)])
def test_a_region_that_fits_nowhere_has_no_place(start: int, end: int, said: str | None) -> None:
    assert place_of(AD.text, start, end, said) is None


def exported(*results: dict[str, object], **more: object) -> list[dict[str, object]]:
    """As Label Studio 1.23.2 exports a task."""
    annotation = {"id": 5, "completed_by": 1, "was_cancelled": False, "lead_time": 9.4, "result": list(results), **more}
    return [{"id": 7, "data": AD.model_dump() | {"ad_id": "ad-1"}, "annotations": [annotation], "predictions": []}]


def choices(name: str, *chosen: str) -> dict[str, object]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(chosen)}}


def region(start: int, end: int, words: str, label: str) -> dict[str, object]:
    value = {"start": start, "end": end, "text": words, "labels": [label]}
    return {"from_name": "evidence", "to_name": "text", "type": "labels", "value": value, "origin": "manual"}


def test_an_annotation_made_there() -> None:
    tasks = exported(
        region(15, 19, "back", "debt_or_fees"), choices("labels", "arranged_movement"), choices("not_judged", "minor_age_cue")
    )
    ads, (annotation,), problems = from_tasks(tasks, TAXONOMY)
    assert problems == []
    assert ads == [AD]
    assert annotation.present == ("arranged_movement", "debt_or_fees")
    assert "minor_age_cue" not in annotation.labels
    assert (annotation.annotator, annotation.seconds) == ("label-studio-1", 9.4)
    assert annotation.spans == (Span(start=15, end=19, label="debt_or_fees"),)


def test_an_address_of_an_account_stays_out() -> None:
    tasks = exported(choices("labels", "none_of_these"), completed_by={"id": 3, "email": "someone@voorbeeld.example"})
    _, (annotation,), _ = from_tasks(tasks, TAXONOMY)
    assert annotation.annotator == "label-studio-3"
    assert annotation.present == ()


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ({"tasks": []}, 'export as "JSON"'),
        ([{"text": "JSON-MIN", "labels": []}], 'task 1: has no "data"'),
        ([{"id": 7, "data": {"ad_id": "x"}}], 'task 7: its data has no "text"'),
        (exported(region(0, 4, "elsewhere", "debt_or_fees"), choices("labels", "none_of_these")), "does not fit the text"),
        (exported(choices("labels", "origin")), "origin is no label"),
        (exported(choices("document_type", "novel"), choices("labels", "none_of_these")), "novel is no document type"),
        (exported(choices("document_type", "other")), "says nothing about labels"),
        (exported({"from_name": "labels"}), "not in Label Studio's form"),
        ([{"id": 7, "data": {"text": "x"}, "annotations": ["?"]}], "not in Label Studio's form"),
        ([*exported(), {"id": 8, "data": {"ad_id": "ad-1", "text": "other words"}}], "with another text already"),
    ],
)
def test_problems_name_the_task_and_quote_nothing_of_its_text(tasks: object, problem: str) -> None:
    _, _, problems = from_tasks(tasks, TAXONOMY)  # type: ignore[arg-type]
    assert any(problem in found for found in problems)
    assert not any("bus" in found or "elsewhere" in found for found in problems)


def test_a_skipped_task_is_no_annotation() -> None:
    assert from_tasks(exported(was_cancelled=True), TAXONOMY) == ([AD], [], [])


def test_the_interface_has_every_label_and_its_definition() -> None:
    interface = config_xml(TAXONOMY)
    for label in (*TAXONOMY.indicators, *TAXONOMY.counter_indicators):
        assert f'<Label value="{label.id}"' in interface
        assert f'<Choice value="{label.id}"' in interface
    assert interface.count('<Choice value="none_of_these"') == 1
