"""The admin's page of project settings; every field of ``ProjectSettings`` is on it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from labeling.project import ProjectSettings
from labeling.web.access import Admin, Data, Visitor, utc_now
from labeling.web.catalogue import say
from labeling.web.forms import Fields, fields_of
from labeling.web.rendering import back_to, language_of, page
from labeling.work.rules import change_project, load_project

router = APIRouter()
STRATEGIES = ("random", "uncertainty", "diversity", "under_covered", "feedback_first")


@router.get("/project")
def show(request: Request, visitor: Admin, database: Data) -> Response:
    with database.read() as session:
        project = load_project(session)
    return _form(request, visitor, project.model_dump())


@router.post("/project")
def change(request: Request, visitor: Admin, database: Data, form: Annotated[Fields, Depends(fields_of)]) -> Response:
    sent = _sent(form)
    try:
        wanted = ProjectSettings.model_validate(sent)
    except ValidationError as error:
        language = language_of(request, visitor)
        wrong = dict.fromkeys(str(one["loc"][0]) for one in error.errors())
        return _form(request, visitor, sent, tuple(_problem(language, name) for name in wrong))
    with database.write() as session:
        change_project(session, visitor.id, wanted, utc_now())
    return back_to("/project", "saved")


def _form(request: Request, visitor: Visitor, values: dict[str, Any], problems: tuple[str, ...] = ()) -> Response:
    status = 422 if problems else 200
    return page(request, "project.html", visitor, problems=problems, status=status, values=values, strategies=STRATEGIES)


def _problem(language: str, name: str) -> str:
    """What a field must be; pydantic's own sentences are English, and some repeat what was sent."""
    field = ProjectSettings.model_fields[name]
    limits = {key: _limit(field, key) for key in ("ge", "le", "max_length")}
    if name in ("timezone", "mixing"):
        said = say(language, f"project_problem.{name}")
    elif limits["max_length"] is not None:
        said = say(language, "project_problem.text", most=limits["max_length"])
    else:
        kind = "share" if field.annotation is float else "whole"
        said = say(language, f"project_problem.{kind}", least=limits["ge"], most=limits["le"])
    return f"{say(language, f'project.{name}')}: {said}"


def _limit(field: FieldInfo, key: str) -> float | None:
    return next((getattr(one, key) for one in field.metadata if hasattr(one, key)), None)


def _sent(form: Fields) -> dict[str, Any]:
    """What was sent, by field; pydantic says what is wrong with it."""
    sent: dict[str, Any] = {}
    for name, field in ProjectSettings.model_fields.items():
        if name == "mixing":
            shares = {strategy: form.one(f"mixing_{strategy}").strip() for strategy in STRATEGIES}
            sent[name] = {strategy: share for strategy, share in shares.items() if share}
        elif field.annotation is bool:
            sent[name] = form.one(name) == "yes"
        else:
            value = form.one(name).strip()
            sent[name] = None if not value and name == "retention_days" else value
    return sent
