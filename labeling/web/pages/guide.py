"""Help for reviewers: how to label, the keys, every definition, and whom to turn to."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from labeling.web.access import Annotator
from labeling.web.catalogue import taxonomy_in
from labeling.web.rendering import language_of, page
from labeling.web.review_keys import SHORTCUTS, labels_for

router = APIRouter()


@router.get("/help")
def show(request: Request, visitor: Annotator) -> Response:
    language = language_of(request, visitor)
    kinds = taxonomy_in(language).document_types
    return page(request, "guide.html", visitor, shortcuts=SHORTCUTS, labels=labels_for(language), document_types=kinds)
