"""How the work stands: progress, agreement with intervals, each reviewer over time, and which labels have examples where."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from labeling.web import plots
from labeling.web.access import Adjudicator, Data, utc_now
from labeling.web.figures import people, progress
from labeling.web.quality import QualityCache
from labeling.web.rendering import language_of, page
from labeling.web.review_keys import labels_for

router = APIRouter()
PATIENCE = 0.25
"""Seconds that the page waits for figures that are being computed."""


@router.get("/dashboard")
def show(request: Request, visitor: Adjudicator, database: Data) -> Response:
    cache: QualityCache = request.app.state.quality
    quality, current = cache.get(PATIENCE)
    seen = quality.coverage if quality else {}
    with database.read() as session:
        stand = progress(session, utc_now())
        persons = people(session, quality.habits if quality else {})
    return page(
        request,
        "dashboard.html",
        visitor,
        stand=stand,
        labels=labels_for(language_of(request, visitor)),
        quality=quality,
        current=current,
        people=persons,
        seen=seen,
        seen_in=sorted({language for counts in seen.values() for language in counts} | set(stand.languages)),
        most=max((count for counts in seen.values() for count in counts.values()), default=0),
        plots=plots,
    )
