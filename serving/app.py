"""The HTTP API: which addresses there are and what each answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from serving.answers import HealthAnswer, IndicatorsAnswer, LimitsOut, ModelAnswer, ModelOut, ResultOut, ScoreAnswer
from serving.body import read_score_request, score_request_schema
from serving.caller import patience_of, unless_left
from serving.envelope import Envelope
from serving.feedback.outbox import Outbox
from serving.feedback.route import add_feedback
from serving.fleet import Fleet
from serving.problems import MEDIA_TYPE, Problem, add_problem_handlers
from serving.schemas import ScoreRequest
from serving.settings import ServingSettings
from serving.stream import ScoreStream, StreamOptions, read_stream_options, stream_documents

if TYPE_CHECKING:
    from models.runtime import Scorer

PLAYGROUND = Path(__file__).with_name("playground")

DESCRIPTION = (
    "Reads advertisements and says which trafficking indicators their words show, how sure it is, and which words "
    "those are. An indicator is a reason for a trained person to look; it is not a verdict on anyone."
)
INTENDED_USE = (
    "Help trained people decide which texts to look at first, and where in a text to look. It scores texts, never persons."
)
NOT_FOR = [
    "Deciding anything about a person without a trained person who looks at the case.",
    "Calling anyone a victim or a trafficker.",
    "Clearing a text: an absent indicator, or a counter-indicator, says nothing about what the text leaves out.",
    "Watching, ranking or reporting independent workers because of their work, origin or migration status.",
]


def create_app(
    scorer_factory: "Callable[[], Scorer]",
    settings: ServingSettings,
    on_load_failure: Callable[[Exception], None] | None = None,
) -> FastAPI:
    """The application. The scorer is loaded in the background when it starts; until then ``/readyz`` says 503.

    Args:
        scorer_factory: makes the scorer, which may take minutes the first time.
        settings: limits and times.
        on_load_failure: told when no scorer could be had, so that a server can end itself.
    """
    fleet = Fleet(scorer_factory, settings, on_load_failure)
    outbox = Outbox(settings.feedback_dir)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        fleet.start()
        yield
        await asyncio.to_thread(fleet.stop)
        await asyncio.to_thread(outbox.close)

    app = FastAPI(
        title="Signaal",
        description=DESCRIPTION,
        version="1",
        lifespan=lifespan,
        # The ready-made pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        responses={
            "default": {
                "description": "What went wrong.",
                "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
            }
        },
    )
    app.state.fleet = fleet
    app.state.outbox = outbox
    app.state.settings = settings
    app.add_middleware(Envelope)
    add_problem_handlers(app)
    _add_scoring(app, fleet, settings)
    _add_stream(app, fleet, settings)
    add_feedback(app, outbox, settings)
    _add_facts(app, fleet, settings)
    _add_page(app)
    return app


def _add_scoring(app: FastAPI, fleet: Fleet, settings: ServingSettings) -> None:
    schema = {"content": {"application/json": {"schema": score_request_schema(settings)}}, "required": True}

    @app.post("/v1/score", summary="Score ads", openapi_extra={"requestBody": schema})
    async def score(request: Request, wanted: Annotated[ScoreRequest, Depends(read_score_request)]) -> ScoreAnswer:
        texts = [ad.text for ad in wanted.ads]
        # "und" is ISO 639 for "not known": not a hint.
        languages = [None if ad.language == "und" else ad.language for ad in wanted.ads]
        scoring = fleet.score(texts, languages, wanted.indicators, evidence=wanted.evidence, patience=patience_of(request))
        model, scores = await unless_left(request, scoring)
        results = [ResultOut.of(ad.id, one) for ad, one in zip(wanted.ads, scores, strict=True)]
        return ScoreAnswer(model=model, results=results)


def _add_stream(app: FastAPI, fleet: Fleet, settings: ServingSettings) -> None:
    extra = stream_documents(settings)

    @app.post("/v1/score/stream", summary="Score a stream of ads, a line each", response_class=Response, openapi_extra=extra)
    async def stream(options: Annotated[StreamOptions, Depends(read_stream_options)]) -> Response:
        return ScoreStream(fleet, options)


def _add_facts(app: FastAPI, fleet: Fleet, settings: ServingSettings) -> None:
    @app.get("/v1/indicators", summary="What is scored: the taxonomy and its thresholds")
    async def indicators() -> IndicatorsAnswer:
        scorer = fleet.scorer
        return IndicatorsAnswer.of(ModelOut.of(scorer.identity), scorer.taxonomy, scorer.thresholds)

    @app.get("/v1/model", summary="Which model answers, how good it is, and what it is not for")
    async def model() -> ModelAnswer:
        scorer = fleet.scorer
        return ModelAnswer(
            model=ModelOut.of(scorer.identity),
            intended_use=INTENDED_USE,
            not_for=NOT_FOR,
            evaluated_languages=list(scorer.evaluated_languages),
            limits=LimitsOut(
                max_ads=settings.max_ads, max_characters=settings.max_characters, max_body_bytes=settings.max_body_bytes
            ),
            metrics=scorer.metrics,
            card=scorer.card,
        )

    @app.get("/healthz", summary="Whether the process lives")
    async def healthz() -> HealthAnswer:
        return HealthAnswer(status="ok", model=fleet.model)

    @app.get("/readyz", summary="Whether a model is loaded and has scored a probe text")
    async def readyz() -> HealthAnswer:
        return HealthAnswer(status="ready", model=ModelOut.of(fleet.scorer.identity))


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page(_: Request) -> Response:
        return FileResponse(PLAYGROUND / "index.html")

    app.mount("/playground", StaticFiles(directory=PLAYGROUND), name="playground")
