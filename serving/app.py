"""The HTTP API: which addresses there are and what each answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from serving.answers import (
    DifferenceOut,
    HealthAnswer,
    IndicatorsAnswer,
    LimitsOut,
    ModelAnswer,
    ModelOut,
    ModelsAnswer,
    ResultOut,
    ScoreAnswer,
    ShadowOut,
)
from serving.body import pick_or_refuse, read_score_request, score_request_schema
from serving.caller import patience_of, unless_left
from serving.envelope import Envelope
from serving.fleet import Fleet, Source
from serving.problem_document import MEDIA_TYPE, Problem
from serving.problems import add_problem_handlers
from serving.schemas import ScoreRequest
from serving.settings import ServingSettings
from serving.stream import ScoreStream, StreamOptions, read_stream_options, stream_documents

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
    source: Source,
    settings: ServingSettings,
    on_load_failure: Callable[[Exception], None] | None = None,
) -> FastAPI:
    """The application. Models are loaded in the background when it starts; until then ``/readyz`` says 503.

    Args:
        source: where models come from; to open one may take minutes the first time.
        settings: limits and times.
        on_load_failure: told when no scorer could be had, so that a server can end itself.
    """
    fleet = Fleet(source, settings, on_load_failure)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        fleet.start()
        yield
        await asyncio.to_thread(fleet.stop)

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
    app.state.settings = settings
    app.add_middleware(Envelope)
    add_problem_handlers(app)
    _add_scoring(app, fleet, settings)
    _add_stream(app, fleet, settings)
    _add_facts(app, fleet, settings)
    _add_page(app)
    return app


def _add_scoring(app: FastAPI, fleet: Fleet, settings: ServingSettings) -> None:
    schema = {"content": {"application/json": {"schema": score_request_schema(settings)}}, "required": True}

    @app.post("/v1/score", summary="Score ads", openapi_extra={"requestBody": schema})
    async def score(
        request: Request, response: Response, wanted: Annotated[ScoreRequest, Depends(read_score_request)]
    ) -> ScoreAnswer:
        response.headers.update(fleet.notices(pick_or_refuse(fleet, wanted.model, "#/model")))
        texts = [ad.text for ad in wanted.ads]
        # "und" is ISO 639 for "not known": not a hint.
        languages = [None if ad.language == "und" else ad.language for ad in wanted.ads]
        scoring = fleet.score(
            texts,
            languages,
            wanted.indicators,
            evidence=wanted.evidence,
            patience=patience_of(request),
            model=wanted.model,
        )
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

    @app.get("/v1/models", summary="Which models are in service, and how the challenger differs from the champion")
    async def models() -> ModelsAnswer:
        fleet.pick()
        shadow = fleet.shadow
        return ModelsAnswer(
            models=fleet.in_service(),
            shadow=ShadowOut(
                share=shadow.share,
                left_out=shadow.left_out,
                differences={
                    label: DifferenceOut(
                        ads=one.ads,
                        other_status=one.other_status,
                        newly_present=one.newly_present,
                        no_longer_present=one.no_longer_present,
                        mean_shift=one.sum_of_shifts / one.ads,
                    )
                    for label, one in sorted(shadow.differences.items())
                },
            ),
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
