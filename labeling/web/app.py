"""The web app of the labelling room: its pages and the few addresses that the review page's script asks."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.web.envelope import Envelope
from labeling.web.pages import accounts, adjudication, dashboard, guide, my_work, project, review, sign_in
from labeling.web.problems import add_problem_handlers
from labeling.web.quality import QualityCache

STATIC = Path(__file__).with_name("static")


def create_app(database: Database, settings: LabelingSettings) -> FastAPI:
    """The application, on an open database."""
    # The ready-made pages of an API load scripts from elsewhere, and nobody programs against this one.
    app = FastAPI(title="Signaal labelling", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.database, app.state.settings, app.state.quality = database, settings, QualityCache(database)
    app.add_middleware(Envelope)
    add_problem_handlers(app)
    for part in (sign_in, review, my_work, adjudication, dashboard, project, accounts, guide):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
