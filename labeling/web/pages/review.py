"""The review page, and what its script asks: the next ad, saving, skipping, going back."""

import unicodedata
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.opinion import Draft, StoredOpinion
from labeling.store.tables import Account, Assignment, AssignmentState, Suggestion
from labeling.web.access import Annotator, Data, Number, utc_now
from labeling.web.catalogue import phrases, taxonomy_in
from labeling.web.errors import DailyLimitError
from labeling.web.rendering import language_of, page
from labeling.web.review_keys import SHORTCUTS, labels_for
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment, own_assignment, reopen, skip
from labeling.work.care import exposure
from labeling.work.rules import load_project
from labeling.work.showing import shown_suggestion

router = APIRouter()
REASONS = ("language", "unreadable", "context", "contradiction", "other")
"""Why one cannot decide; kept as they stand here, whatever the language of the page."""


class SaveRequest(Draft):
    """A save, as the script sends it."""

    version: int
    done: bool = False

    @property
    def draft(self) -> Draft:
        return Draft(**{name: getattr(self, name) for name in Draft.model_fields})


class Saved(BaseModel):
    """The version that is stored now."""

    version: int


class SavedOpinion(Saved):
    """A save that is sent again, because its answer got lost, may have been the one that made the ad done."""

    done: bool


@router.get("/review")
def show(request: Request, visitor: Annotator, database: Data) -> Response:
    """The page is the same for every ad; its script fetches the ads."""
    language = language_of(request, visitor)
    with database.read() as session:
        project = load_project(session)
    labels = labels_for(language, visitor.account.opt_outs)
    spoken = {key: phrase for key, phrase in phrases(language).items() if key.startswith("review.")}
    facts = {"csrf": visitor.csrf, "blur": project.blur, "phrases": spoken}
    facts["labels"] = [{"id": one.id, "key": one.key, "kind": one.kind, "name": one.name} for one in labels]
    return page(
        request,
        "review.html",
        visitor,
        facts=facts,
        labels=labels,
        document_types=taxonomy_in(language).document_types,
        reasons=REASONS,
        shortcuts=SHORTCUTS,
    )


@router.get("/api/session")
def session_token(visitor: Annotator) -> dict[str, str]:
    """For a page that stayed open while its reviewer signed in anew."""
    return {"csrf": visitor.csrf}


@router.get("/api/next")
def next_ad(visitor: Annotator, database: Data) -> Response:
    """The ad to read now; 204 when nothing is left."""
    now = utc_now()
    with database.write() as session:
        assignment = next_assignment(session, visitor.id, now)
        if assignment is None and exposure(session, visitor.account, now).remaining_today <= 0:
            raise DailyLimitError
        return Response(status_code=204) if assignment is None else JSONResponse(_shown(session, assignment, visitor.account))


@router.put("/api/assignments/{assignment_id}/annotation")
def save_annotation(assignment_id: Number, wanted: SaveRequest, visitor: Annotator, database: Data) -> SavedOpinion:
    """Keep an opinion. It is committed before this answers."""
    with database.write() as session:
        version = save(session, assignment_id, visitor.id, wanted.version, wanted.draft, done=wanted.done, now=utc_now())
        state = own_assignment(session, assignment_id, visitor.id).state
    return SavedOpinion(version=version, done=state == AssignmentState.DONE)


@router.post("/api/assignments/{assignment_id}/skip")
def skip_ad(assignment_id: Number, visitor: Annotator, database: Data) -> Response:
    """Give the ad up, without a reason."""
    with database.write() as session:
        skip(session, assignment_id, visitor.id, utc_now())
    return Response(status_code=204)


@router.get("/api/last-done")
def last_done(visitor: Annotator, database: Data) -> Response:
    """The ad that this reviewer did last, to go back to; 204 when there is none."""
    done = select(Assignment.id).where(Assignment.account_id == visitor.id, Assignment.state == AssignmentState.DONE)
    with database.read() as session:
        found = session.scalar(done.order_by(Assignment.done_at.desc()).limit(1))
    return Response(status_code=204) if found is None else JSONResponse({"assignment": found})


@router.post("/api/assignments/{assignment_id}/reopen")
def reopen_ad(assignment_id: Number, visitor: Annotator, database: Data) -> Response:
    """Undo "done"; answers as ``/api/next`` does."""
    with database.write() as session:
        return JSONResponse(_shown(session, reopen(session, assignment_id, visitor.id, utc_now()), visitor.account))


def _shown(session: Session, assignment: Assignment, account: Account) -> dict[str, Any]:
    ad, stored = assignment.ad, assignment.annotation
    suggestion = shown_suggestion(assignment, load_project(session))
    cared = exposure(session, account, utc_now())
    opinion = stored and StoredOpinion.of_annotation(stored, account.id)
    return {
        "assignment": assignment.id,
        "version": opinion.version if opinion else 0,
        "ad": {"id": ad.id, "text": ad.text, "language": ad.language, "direction": direction_of(ad.text)},
        "suggestions": suggestion and _suggestions(suggestion, account),
        "suggested_type": suggestion
        and {"document_type": suggestion.document_type, "probability": suggestion.document_type_probability},
        "annotation": opinion and opinion.draft.model_dump(mode="json"),
        "remaining_today": cared.remaining_today,
        "pause": cared.pause,
    }


def _suggestions(suggestion: Suggestion, account: Account) -> list[dict[str, Any]]:
    return [{"label": label, **said} for label, said in suggestion.labels.items() if label not in account.opt_outs]


def direction_of(text: str) -> str:
    """``rtl`` when the first letter that has a direction is written from right to left, as browsers decide it."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"
