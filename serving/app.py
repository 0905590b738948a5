"""The HTTP API: which addresses there are and what each answers."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving.answers import (
    DifferenceOut,
    HealthAnswer,
    IndicatorsAnswer,
    LimitsOut,
    ModelAnswer,
    ModelOut,
    ModelsAnswer,
    ReadyAnswer,
    ResultOut,
    ScoreAnswer,
    ShadowOut,
)
from serving.body import pick_or_refuse, read_score_request
from serving.caller import patience_of, unless_left
from serving.contract import PREFER, SCORE_BODY, STREAM_BODY, complete_contract, problems
from serving.envelope import Envelope
from serving.exchange import StreamOptions
from serving.feedback.backlog import BacklogMetrics
from serving.feedback.outbox import Outbox
from serving.feedback.route import add_feedback
from serving.fleet import Fleet, Source
from serving.fleet_metrics import FleetMetrics
from serving.hosts import check_hosts
from serving.keys.admission import admit
from serving.keys.allowance import spending
from serving.keys.guard import Guard
from serving.keys.store import KeyStore
from serving.line_observer import LineObserver
from serving.logs import log_loop_error
from serving.metrics import Metrics
from serving.origins import allow_origins
from serving.problems import (
    BROKEN,
    BUSY,
    INVALID,
    NOT_JSON,
    NOT_READY,
    STOPPING,
    TOO_LARGE,
    TOO_SLOW,
    WRONG_MEDIA_TYPE,
    ProblemError,
    add_problem_handlers,
)
from serving.readiness import check_works, fatal_trouble
from serving.request_entry import note_scored
from serving.schemas import ScoreRequest
from serving.settings import ServingSettings
from serving.stopping import refuse_while_stopping
from serving.stream import ScoreStream, read_stream_options
from serving.tracing import Tracing
from serving.under_way import Bodies, UnderWay

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
    tracing: Tracing | None = None,
) -> FastAPI:
    """The application. Models are loaded in the background when it starts; until then ``/readyz`` says 503.

    Args:
        source: where models come from; to open one may take minutes the first time.
        settings: limits and times.
        on_load_failure: told when no scorer could be had, so that a server can end itself.
        tracing: where spans go; nowhere when None.

    Raises:
        KeyStoreError: callers need keys, and their database cannot be used.
    """
    metrics, tracing, stopping = Metrics(), tracing or Tracing(), threading.Event()
    observe = functools.partial(LineObserver, metrics=metrics, tracing=tracing)
    fleet = Fleet(source, settings, on_load_failure, observe)
    outbox = Outbox(settings.feedback_dir)
    metrics.registry.register(FleetMetrics(fleet, stopping, metrics))
    metrics.registry.register(BacklogMetrics(outbox))
    keys = KeyStore(settings.database_url.get_secret_value()) if settings.wants_keys else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        fleet.start()
        yield
        stopping.set()
        await asyncio.to_thread(fleet.stop)
        await asyncio.to_thread(tracing.stop)
        await asyncio.to_thread(outbox.close)
        if keys is not None:
            keys.close()

    app = FastAPI(
        title="Signaal",
        description=DESCRIPTION,
        version="1",
        lifespan=lifespan,
        dependencies=[Depends(refuse_while_stopping), Depends(admit)],
        # The ready-made pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
    )
    app.state.fleet = fleet
    app.state.outbox = outbox
    app.state.settings = settings
    app.state.stopping = stopping
    app.state.guard = None if keys is None else Guard(keys)
    app.add_middleware(
        UnderWay, most=settings.max_requests, bodies=Bodies(settings.max_bodies_bytes, settings.retry_after_seconds)
    )
    allow_origins(app, settings.cors_origins)
    check_hosts(app, settings)
    app.add_middleware(Envelope, metrics=metrics, tracing=tracing)
    add_problem_handlers(app)
    _add_scoring(app, fleet)
    _add_stream(app, fleet)
    add_feedback(app, outbox, settings)
    _add_facts(app, fleet, settings)
    _add_metrics(app, metrics)
    _add_page(app)
    complete_contract(app, settings)
    return app


def _add_scoring(app: FastAPI, fleet: Fleet) -> None:
    refusals = problems(NOT_JSON, TOO_SLOW, TOO_LARGE, WRONG_MEDIA_TYPE, INVALID, BUSY, NOT_READY, STOPPING)
    extra = {**SCORE_BODY, "parameters": [PREFER]}

    @app.post(
        "/v1/score", operation_id="scoreAds", summary="Score ads", tags=["scoring"], responses=refusals, openapi_extra=extra
    )
    async def score(
        request: Request, response: Response, wanted: Annotated[ScoreRequest, Depends(read_score_request)]
    ) -> ScoreAnswer:
        """Says of each ad which indicators its words show, how sure the model is, and which words those are. Results come in
        the order of the ads. Nothing is stored."""
        response.headers.update(fleet.notices(pick_or_refuse(fleet, wanted.model, "#/model")))
        texts = [ad.text for ad in wanted.ads]
        # "und" is ISO 639 for "not known": not a hint.
        languages = [None if ad.language == "und" else ad.language for ad in wanted.ads]
        async with spending(request.state.allowance, len(texts)):
            scoring = fleet.score(
                texts,
                languages,
                wanted.indicators,
                evidence=wanted.evidence,
                patience=patience_of(request),
                model=wanted.model,
            )
            model, scores = await unless_left(request, scoring)
        note_scored(model, len(texts))
        results = [ResultOut.of(ad.id, one) for ad, one in zip(wanted.ads, scores, strict=True)]
        return ScoreAnswer(model=model, results=results)


def _add_stream(app: FastAPI, fleet: Fleet) -> None:
    @app.post(
        "/v1/score/stream",
        operation_id="scoreStream",
        summary="Score a stream of ads, a line each",
        tags=["scoring"],
        responses=problems(WRONG_MEDIA_TYPE, INVALID, BUSY, NOT_READY, STOPPING),
        response_class=Response,
        openapi_extra=STREAM_BODY,
    )
    async def stream(options: Annotated[StreamOptions, Depends(read_stream_options)]) -> Response:
        """Answers while it reads, in constant memory, for as long as lines come. A line whose text cannot be scored is answered
        by `{"line": 7, "problem": {…}}` in its place. Where the key, its quota or the service is in the way, the last line is
        `{"problem": {…}, "retry_after": 60}`. An answer without its last chunk was cut off: send again what has none."""
        return ScoreStream(fleet, options, app.state.stopping)


def _add_facts(app: FastAPI, fleet: Fleet, settings: ServingSettings) -> None:
    not_ready = problems(BUSY, NOT_READY, STOPPING)

    @app.get(
        "/v1/indicators",
        operation_id="listIndicators",
        summary="What is scored: the taxonomy and its thresholds",
        tags=["facts"],
        responses=not_ready,
    )
    async def indicators() -> IndicatorsAnswer:
        """Every label of the champion with definition, cues, hard negatives and thresholds, and the document types."""
        scorer = fleet.scorer
        return IndicatorsAnswer.of(ModelOut.of(scorer.identity), scorer.taxonomy, scorer.thresholds)

    @app.get(
        "/v1/model",
        operation_id="getModel",
        summary="Which model answers, how good it is, and what it is not for",
        tags=["facts"],
        responses=not_ready,
    )
    async def model() -> ModelAnswer:
        """The champion: its intended use, its figures, its card; and what one request to this server may hold."""
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

    @app.get(
        "/v1/models",
        operation_id="listModels",
        summary="Which models are in service, and how the challenger differs from the champion",
        tags=["facts"],
        responses=not_ready,
    )
    async def models() -> ModelsAnswer:
        """Each with its aliases and, when it is retired, when it goes. A request may name any of them."""
        fleet.pick()
        shadow = fleet.shadow.found
        return ModelsAnswer(
            models=fleet.in_service(),
            shadow=ShadowOut(
                share=fleet.shadow.share,
                ads=shadow.ads,
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

    @app.get(
        "/healthz",
        operation_id="getHealth",
        summary="Whether the process lives",
        tags=["health"],
        responses=problems(BROKEN),
    )
    async def healthz() -> HealthAnswer:
        """200 while the process lives; `model` is null until one is loaded. 503 when only a new start helps: a thread that scores
        with the champion has ended, or has been at one batch for too long."""
        if fleet.model is not None and (trouble := fatal_trouble(fleet.pick().line)):
            raise ProblemError(BROKEN, trouble, headers={"Retry-After": str(settings.retry_after_seconds)})
        return HealthAnswer(status="ok", model=fleet.model)

    @app.get(
        "/readyz",
        operation_id="getReadiness",
        summary="Whether scoring works now",
        tags=["health"],
        responses=not_ready,
    )
    async def readyz() -> ReadyAnswer:
        """200 when requests can be answered, else 503 with `Retry-After`."""
        await check_works(fleet.pick().line)
        return ReadyAnswer(status="ready", model=ModelOut.of(fleet.scorer.identity), notes=fleet.notes)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", include_in_schema=False)
    def figures() -> Response:  # not async: thousands of lines take a moment, and nobody should wait for them
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page(_: Request) -> Response:
        return FileResponse(PLAYGROUND / "index.html")

    app.mount("/playground", StaticFiles(directory=PLAYGROUND), name="playground")
