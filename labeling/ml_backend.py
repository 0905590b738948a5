"""A Label Studio ML backend: teams who stay with Label Studio get Signaal's suggestions in it.

The protocol is the one that Label Studio's ``ml/api_connector.py`` speaks (read in 1.23.2, and tested with it running):
``GET /health``, ``POST /setup`` when a project connects, ``POST /predict`` with tasks, ``GET /versions``, ``POST /webhook``.
Nothing is kept and no text is logged or sent back; a project must use the interface of ``label_studio.config_xml``.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from labeling.label_studio import DOCUMENT_TYPE, EVIDENCE, LABELS, TEXT, prediction_result
from models.runtime import Scorer

MOST_TASKS = 1_000
BATCH = 64


class Setup(BaseModel):
    """What Label Studio says when a project connects; its access token is not wanted and not read."""

    labelling_interface: str = Field(alias="schema")


class Task(BaseModel):
    """One task: whatever the project's data hold."""

    data: Mapping[str, Any]


class Predict(BaseModel):
    """Tasks to suggest labels for."""

    tasks: list[Task] = Field(max_length=MOST_TASKS)


def create_app(scorer: Scorer) -> FastAPI:
    """The backend for one scorer. It asks for no password: bind it where only Label Studio can reach it."""
    app = FastAPI(title="Signaal for Label Studio", openapi_url=None)
    model = model_name(scorer)

    @app.get("/")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "Signaal"}

    @app.post("/setup")
    def setup(body: Setup) -> JSONResponse:
        missing = [name for name in (TEXT, EVIDENCE, LABELS, DOCUMENT_TYPE) if f'name="{name}"' not in body.labelling_interface]
        if missing:
            wanted = "signaal-label label-studio config writes the one that fits."
            return _refusal(400, f"The project's labelling interface lacks {', '.join(missing)}; {wanted}")
        return JSONResponse({"model_version": model})

    @app.get("/versions")
    def versions() -> dict[str, list[str]]:
        return {"versions": [model]}

    @app.post("/webhook")
    def webhook() -> dict[str, str]:
        # Label Studio tells here that annotations changed, and wants training; a model is trained from exports.
        return {"status": "ignored"}

    @app.post("/predict")
    def predict(body: Predict) -> dict[str, list[dict[str, Any]]]:
        texts = [text if isinstance(text := task.data.get(TEXT), str) else "" for task in body.tasks]
        results: list[dict[str, Any]] = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            for text, score in zip(batch, scorer.score(batch), strict=True):
                nothing = {"model_version": model, "score": 0.0, "result": []}
                results.append(prediction_result(text, score, model) if text.strip() else nothing)
        return {"results": results}

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer would repeat what was sent, and so the ads.
        fields = sorted({".".join(str(part) for part in e["loc"] if isinstance(part, str)) for e in error.errors()})
        return _refusal(422, f"The request is not Label Studio's: see {', '.join(fields)}. At most {MOST_TASKS} tasks at once.")

    return app


def model_name(scorer: Scorer) -> str:
    """As Label Studio shows it; a changed bundle is another model to it, which asks for suggestions anew."""
    return f"{scorer.identity.name} {scorer.identity.version} ({scorer.identity.bundle_digest[:8]})"


def _refusal(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"error": detail}, status_code=status)
