"""Where reviewers disagree: the list of cases, one case side by side, and the decision on it."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.accounts.roles import Role
from labeling.annotation import Annotation
from labeling.consensus import consensus
from labeling.errors import NotFoundError
from labeling.opinion import Draft
from labeling.store.tables import Ad
from labeling.web.access import Adjudicator, After, Data, Needs, Number, utc_now
from labeling.web.catalogue import phrases, taxonomy_in
from labeling.web.errors import DailyLimitError
from labeling.web.marked_text import pieces
from labeling.web.pages.review import REASONS, Saved, SaveRequest, direction_of
from labeling.web.rendering import language_of, page
from labeling.web.review_keys import SHORTCUTS, labels_for
from labeling.work.adjudicating import Case, case, disputed, disputed_count, resolve
from labeling.work.care import exposure, may_compare
from labeling.work.rules import load_project
from labeling.work.settling import done_opinions

router = APIRouter()
A_PAGE = 50


@router.get("/adjudication")
def show_list(request: Request, visitor: Adjudicator, database: Data, after: After = 0) -> Response:
    """The cases that wait, without a word of their texts."""
    names = {label.id: label.name for label in labels_for(language_of(request, visitor))}
    with database.read() as session:
        ads = disputed(session, A_PAGE + 1, after)
        waiting = disputed_count(session)
        cases = [_row(session, ad, names) for ad in ads[:A_PAGE]]
    more = ads[A_PAGE - 1].number if len(ads) > A_PAGE else None
    return page(request, "adjudication.html", visitor, cases=cases, waiting=waiting, more=more)


def _row(session: Session, ad: Ad, names: dict[str, str]) -> dict[str, Any]:
    opinions = done_opinions(session, ad)
    agreed = consensus(opinions)
    open_to = [*agreed.disputed, *(agreed.unjudged(names) if agreed.annotators else ())]
    labels = [names[label] for label in names if label in open_to]
    return {"number": ad.number, "language": ad.language, "opinions": len(opinions), "labels": labels}


@router.get("/adjudication/next", dependencies=[Depends(Needs(Role.ADJUDICATOR))])
def next_case(database: Data, after: After = 0) -> Response:
    """On to the next case that waits; to the list when there is none."""
    with database.read() as session:
        ads = disputed(session, 1, after) or disputed(session, 1)
    return RedirectResponse(f"/adjudication/{ads[0].number}" if ads else "/adjudication?note=resolved", 303)


@router.get("/adjudication/{number}")
def show_case(number: Number, request: Request, visitor: Adjudicator, database: Data) -> Response:
    """One case. Reviewers are A, B, …: who they are is nothing to go by."""
    language = language_of(request, visitor)
    now = utc_now()
    with database.write() as session:  # the audit notes who compares opinions
        ad_id = _id_of(session, number)
        if not may_compare(session, visitor.account, number, now):
            raise DailyLimitError
        found = case(session, ad_id, visitor.id, now)
        project, cared = load_project(session), exposure(session, visitor.account, now)
    labels = labels_for(language)
    spoken = {key: phrase for key, phrase in phrases(language).items() if key.startswith("review.")}
    ad, decision = found.ad, found.decision
    drafts = [opinion.draft for opinion in found.opinions]
    facts = {
        "csrf": visitor.csrf,
        "blur": project.blur,
        "pause": cared.pause,
        "phrases": spoken,
        "labels": [{"id": one.id, "key": one.key, "kind": one.kind, "name": one.name} for one in labels],
        "number": ad.number,
        "next": f"/adjudication/next?after={ad.number}",
        "version": decision.version if decision else 0,
        "ad": {"id": ad.id, "text": ad.text, "language": ad.language, "direction": direction_of(ad.text)},
        "opinions": [draft.model_dump(mode="json") for draft in drafts],
        "proposal": (decision.draft if decision else _proposal(found)).model_dump(mode="json"),
    }
    shown = [
        {"name": chr(ord("A") + i), "draft": draft, "pieces": pieces(ad.text, draft.spans)} for i, draft in enumerate(drafts)
    ]
    return page(
        request,
        "case.html",
        visitor,
        facts=facts,
        labels=labels,
        opinions=shown,
        compared=[one for one in labels if _is_open(drafts, one.id)],
        direction=direction_of(ad.text),
        ad_language="" if ad.language == "und" else ad.language,
        document_types=taxonomy_in(language).document_types,
        reasons=REASONS,
        shortcuts=SHORTCUTS,
        said=_said,
    )


@router.put("/api/adjudication/{number}")
def decide(number: Number, wanted: SaveRequest, visitor: Adjudicator, database: Data) -> Saved:
    """Store the decision. It is committed before this answers."""
    with database.write() as session:
        version = resolve(session, _id_of(session, number), visitor.id, wanted.version, wanted.draft, utc_now())
    return Saved(version=version)


def _id_of(session: Session, number: int) -> str:
    found = session.scalar(select(Ad.id).where(Ad.number == number))
    if found is None:
        raise NotFoundError("There is no such ad.")
    return found


def _said(draft: Draft, label: str) -> str:
    """What an opinion says of a label, as the last part of a phrase's key."""
    if draft.cannot_decide is not None or label not in draft.labels:
        return "not_judged"
    return "present" if draft.labels[label] else "absent"


def _is_open(drafts: list[Draft], label: str) -> bool:
    """Whether opinions differ on a label, or nobody judged it although someone judged others."""
    said = {_said(draft, label) for draft in drafts}
    return len(said) > 1 or (said == {"not_judged"} and any(draft.cannot_decide is None for draft in drafts))


def _proposal(found: Case) -> Draft:
    """Where to begin: what most reviewers say."""
    annotations: list[Annotation] = [opinion.annotation(found.ad.id) for opinion in found.opinions]
    agreed = consensus(annotations)
    return Draft(labels=agreed.labels, spans=tuple(agreed.spans), document_type=agreed.document_type)
