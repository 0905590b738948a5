"""Exchange with Label Studio: a labelling interface of the taxonomy, tasks to import there, and its JSON export read back.

Offsets are code points of the text, as Label Studio counts now; older files are read too (``labeling.regions``). A region that
fits in no way is a problem and is left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from labeling.annotation import Annotation
from labeling.regions import place_of
from models.example import Span
from models.scores import AdScore, Status
from models.taxonomy import Taxonomy

NONE_PRESENT = "none_of_these"
"""The choice that says: all labels are judged, and none is there. Without it an empty answer would say that by accident."""
ANNOTATOR_PREFIX = "label-studio-"
"""What the ids of Label Studio's own annotators begin with here; the number of the account follows."""
CANNOT_DECIDE = ("language", "unreadable", "context", "contradiction", "other")
TEXT, EVIDENCE, LABELS, NOT_JUDGED, DOCUMENT_TYPE, REASON, COMMENT = (
    "text", "evidence", "labels", "not_judged", "document_type", "cannot_decide", "comment",
)  # fmt: skip
_COLOURS = ("#1b6ca8", "#a8441b", "#3c7a3c", "#7a3c78", "#8a6d00", "#00787a", "#a0305a", "#4a5aa8", "#6a6a6a")


class ExchangedAd(BaseModel):
    """An ad as it goes to and comes from Label Studio."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: str = Field(min_length=1)
    text: str = Field(min_length=1)
    language: str = Field(default="und", validation_alias=AliasChoices("language", "lang"))
    """As an ad or, under ``lang``, as a labelled example has it."""


class Prediction(BaseModel):
    """A model's suggestion for one ad."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    score: AdScore
    model: str
    """Name and version, as Label Studio shows it."""


def config_xml(taxonomy: Taxonomy) -> str:
    """The labelling interface: evidence by marking words, labels with their definitions, document type, reasons, comment."""
    labels = [*taxonomy.indicators, *taxonomy.counter_indicators]
    marks = [
        f"<Label value={quoteattr(label.id)} alias={quoteattr(label.id)} hint={quoteattr(label.definition)} "
        f'background="{_COLOURS[number % len(_COLOURS)]}"/>'
        for number, label in enumerate(labels)
    ]
    choices = [f"<Choice value={quoteattr(la.id)} hint={quoteattr(f'{la.name}. {la.definition}')}/>" for la in labels]
    kinds = [f"<Choice value={quoteattr(kind.id)} hint={quoteattr(kind.definition)}/>" for kind in taxonomy.document_types]
    reasons = [f"<Choice value={quoteattr(reason)}/>" for reason in CANNOT_DECIDE]
    unjudged = [f"<Choice value={quoteattr(label.id)}/>" for label in labels]
    none = f'<Choice value="{NONE_PRESENT}" hint="All labels are judged and none is there."/>'
    return "\n".join(
        [
            f"<View><!-- Signaal, taxonomy {taxonomy.version} -->",
            f'<Labels name="{EVIDENCE}" toName="{TEXT}">',
            *marks,
            "</Labels>",
            f'<Text name="{TEXT}" value="$text"/>',
            f'<Choices name="{LABELS}" toName="{TEXT}" choice="multiple" required="true">',
            none,
            *choices,
            "</Choices>",
            f'<Choices name="{DOCUMENT_TYPE}" toName="{TEXT}" choice="single">',
            *kinds,
            "</Choices>",
            '<Collapse><Panel value="Not judged, cannot decide, comment">',
            f'<Choices name="{NOT_JUDGED}" toName="{TEXT}" choice="multiple">',
            *unjudged,
            "</Choices>",
            f'<Choices name="{REASON}" toName="{TEXT}" choice="single">',
            *reasons,
            "</Choices>",
            f'<TextArea name="{COMMENT}" toName="{TEXT}" maxSubmissions="1"/>',
            "</Panel></Collapse>",
            "</View>",
        ]
    )


def to_tasks(
    ads: Iterable[ExchangedAd],
    annotations: Iterable[Annotation] = (),
    predictions: Mapping[str, Prediction] | None = None,
    *,
    finals: Mapping[str, Annotation] | None = None,
    taxonomy: Taxonomy,
) -> list[dict[str, Any]]:
    """Tasks for Label Studio's import, with the annotations and predictions that there are of each ad.

    The annotator's id is kept in each result's ``meta``, because accounts there are other accounts.

    Args:
        finals: ad id → the labels that count in the end; ground truth there, and nobody's opinion when it comes back.
    """
    of_ad: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        of_ad.setdefault(annotation.ad_id, []).append(annotation)
    tasks = []
    for ad in ads:
        task: dict[str, Any] = {"data": {"text": ad.text, "ad_id": ad.id, "language": ad.language}}
        task["annotations"] = [_annotation_out(a, ad.text, taxonomy) for a in of_ad.get(ad.id, [])]
        if finals and ad.id in finals:
            task["annotations"].append(_final_out(finals[ad.id], ad.text, taxonomy))
        if predictions and ad.id in predictions:
            prediction = predictions[ad.id]
            task["predictions"] = [prediction_result(ad.text, prediction.score, prediction.model)]
        tasks.append(task)
    return tasks


def prediction_result(text: str, score: AdScore, model: str) -> dict[str, Any]:
    """A prediction: labels that are present with their evidence, and the document type. Its ``score`` is the model's certainty
    of the label that it is least sure of, 0 to 1, so that sorting by it puts the unsure ads first."""
    labels = {**score.indicators, **score.counter_indicators}
    present = [label for label, of_label in labels.items() if of_label.status is Status.PRESENT]
    spans = [Span(start=e.start, end=e.end, label=label) for label in present for e in labels[label].evidence]
    results = [
        *_regions(text, spans),
        _choices(LABELS, present or [NONE_PRESENT]),
        _choices(DOCUMENT_TYPE, [score.document_type]),
    ]
    certainty = min((abs(2 * of_label.probability - 1) for of_label in labels.values()), default=1.0)
    return {"model_version": model, "score": certainty, "result": results}


def from_tasks(exported: JsonValue, taxonomy: Taxonomy) -> tuple[list[ExchangedAd], list[Annotation], list[str]]:
    """Read Label Studio's export (type "JSON").

    Returns:
        Ads; their annotations, one of each annotator, the last (not those that were skipped, nor final labels that were
        sent there); and problems, each a sentence that
        names the task and quotes none of its text. What has a problem is left out, the rest is there.
    """
    if not isinstance(exported, list):
        return [], [], ['The file is no list of tasks; export as "JSON" in Label Studio, not as "JSON-MIN" or another type.']
    ads: dict[str, ExchangedAd] = {}
    annotations: dict[tuple[str, str], Annotation] = {}
    problems: list[str] = []
    for number, task in enumerate(exported, start=1):
        where = f"task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            problems.append(f'{where}: has no "data"; export as "JSON" in Label Studio.')
            continue
        where = f"task {task.get('id', number)}"
        data: Any = task["data"]
        ad_id = data.get("ad_id") or f"label-studio-{task.get('id', number)}"
        try:
            ad = ExchangedAd(id=str(ad_id), text=data.get("text"), language=data.get("language") or "und")
        except ValidationError:
            problems.append(f'{where}: its data has no "text" that can be read.')
            continue
        if ad.id in ads and ads[ad.id].text != ad.text:
            problems.append(f"{where}: ad {ad.id} is there with another text already.")
            continue
        ads[ad.id] = ad
        there: Any = task.get("annotations") or []
        for raw in there:
            try:
                annotation = _annotation_in(raw, ad, taxonomy, where, problems)
            except (TypeError, KeyError, AttributeError, ValueError):
                problems.append(f"{where}: an annotation is not in Label Studio's form.")
                continue
            if annotation is not None:
                annotations[ad.id, annotation.annotator] = annotation
    return list(ads.values()), list(annotations.values()), problems


def _annotation_out(annotation: Annotation, text: str, taxonomy: Taxonomy) -> dict[str, Any]:
    results = [*_regions(text, annotation.spans), _choices(LABELS, list(annotation.present) or [NONE_PRESENT])]
    if unjudged := [label for label in taxonomy.label_ids if label not in annotation.labels]:
        results.append(_choices(NOT_JUDGED, unjudged))
    if annotation.document_type is not None:
        results.append(_choices(DOCUMENT_TYPE, [annotation.document_type]))
    if annotation.cannot_decide is not None:
        results.append(_choices(REASON, [annotation.cannot_decide]))
    if annotation.comment:
        results.append(_result(COMMENT, "textarea", {"text": [annotation.comment]}))
    for result in results:
        result["meta"] = {"annotator": annotation.annotator}
    out: dict[str, Any] = {"result": results}
    if annotation.seconds is not None:
        out["lead_time"] = annotation.seconds
    if annotation.saved_at is not None:
        out["updated_at"] = annotation.saved_at.isoformat()
    return out


def _final_out(final: Annotation, text: str, taxonomy: Taxonomy) -> dict[str, Any]:
    out = _annotation_out(final, text, taxonomy)
    for result in out["result"]:
        result["meta"] = {"final": True}
    return {**out, "ground_truth": True}


def _result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": TEXT, "type": kind, "value": value}


def _choices(name: str, chosen: Sequence[str]) -> dict[str, Any]:
    return _result(name, "choices", {"choices": list(chosen)})


def _regions(text: str, spans: Iterable[Span]) -> Iterator[dict[str, Any]]:
    for number, span in enumerate(spans):
        value = {"start": span.start, "end": span.end, "text": text[span.start : span.end], "labels": [span.label]}
        yield {**_result(EVIDENCE, "labels", value), "id": f"{EVIDENCE}-{number}"}


def _annotation_in(
    raw: dict[str, Any], ad: ExchangedAd, taxonomy: Taxonomy, where: str, problems: list[str]
) -> Annotation | None:
    if raw.get("was_cancelled"):
        return None
    chosen: dict[str, list[str]] = {}
    spans: list[Span] = []
    comment, annotator = "", _annotator(raw.get("completed_by"))
    for result in raw["result"]:
        name, value, meta = result["from_name"], result["value"], result.get("meta") or {}
        if meta.get("final"):
            return None
        annotator = meta.get("annotator", annotator)
        if name == EVIDENCE:
            place = place_of(ad.text, value["start"], value["end"], value.get("text"))
            for label in value["labels"]:
                if place is None:
                    problems.append(f"{where}: evidence for {label} does not fit the text; left out.")
                else:
                    spans.append(Span(start=place[0], end=place[1], label=label))
        elif name == COMMENT:
            comment = "\n".join(value["text"]) if isinstance(value["text"], list) else value["text"]
        else:
            chosen.setdefault(name, []).extend(value["choices"])
    unknown = ({s.label for s in spans} | set(chosen.get(LABELS, []))) - {*taxonomy.label_ids, NONE_PRESENT}
    if unknown:
        problems.append(f"{where}: {', '.join(sorted(unknown))} is no label of taxonomy {taxonomy.version}; left out.")
    if LABELS not in chosen and REASON not in chosen and not spans:
        problems.append(f"{where}: an annotation says nothing about labels; left out.")
        return None
    present = ({s.label for s in spans} | set(chosen.get(LABELS, []))) & set(taxonomy.label_ids)
    unjudged = set(chosen.get(NOT_JUDGED, [])) - present
    document_type = next(iter(chosen.get(DOCUMENT_TYPE, [])), None)
    if document_type is not None and document_type not in taxonomy.document_type_ids:
        problems.append(f"{where}: {document_type} is no document type of taxonomy {taxonomy.version}; left out.")
        document_type = None
    saved_at = raw.get("updated_at") or raw.get("created_at")
    return Annotation(
        ad_id=ad.id,
        annotator=annotator,
        labels={label: label in present for label in taxonomy.label_ids if label not in unjudged},
        document_type=document_type,
        spans=tuple(s for s in spans if s.label in present),
        cannot_decide=next(iter(chosen.get(REASON, [])), None),
        comment=comment,
        seconds=raw.get("lead_time"),
        saved_at=None if saved_at is None else datetime.fromisoformat(saved_at),
    )


def _annotator(completed_by: int | dict[str, Any] | None) -> str:
    """The id of the account there; its e-mail address, which comes along, stays out."""
    number = completed_by.get("id") if isinstance(completed_by, dict) else completed_by
    return f"{ANNOTATOR_PREFIX}{number or 'unknown'}"
