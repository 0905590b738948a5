"""Settings put together from the command line, the environment and a file, and checked: a complaint names the place.

A variable with the settings' prefix that is no setting (``SIGNAAL_TRAIN_EPOCSH``) is refused as a misspelt line of the file is:
what is passed over in silence costs a night of training.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from training.errors import ConfigurationError

Where = tuple[str | int, ...]
"""A place in settings: keys and list indices, outermost first."""

S = TypeVar("S", bound=BaseSettings)


def checked(
    kind: type[S],
    options: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    place_of_value: Callable[[Where], str] = str,
) -> S:
    """Settings of a class; the command line goes before the environment, and that before a file.

    Args:
        kind: the class; its ``env_prefix`` says which variables are its.
        options: what the command line says: a setting, or ``outer.inner``, to its value.
        values: what a file says.
        place_of_value: where in the file something stands.

    Raises:
        ConfigurationError: something is unknown, or cannot be; the message names every place, a line each.
    """
    prefix = str(kind.model_config["env_prefix"])
    environment = _environment(kind, prefix)
    merged = {**(values or {}), **environment}
    for name, value in options.items():
        _put(merged, name, value)
    try:
        return kind(**merged)
    except ValidationError as error:

        def place(loc: Where) -> str:
            dotted = ".".join(map(str, loc))
            if any(dotted == name or dotted.startswith(f"{name}.") for name in options):
                return "on the command line"
            return f"{prefix}{str(loc[0]).upper()}" if loc and loc[0] in environment else place_of_value(loc)

        problems = (f"{place(problem['loc'])}: {explained(problem, kind)}" for problem in error.errors())
        raise ConfigurationError("\n".join(problems)) from error


def _environment(kind: type[BaseSettings], prefix: str) -> dict[str, Any]:
    """What the environment says, by the names of the settings; names that there are not, too."""
    try:
        known = EnvSettingsSource(kind)()
    except SettingsError as error:
        raise ConfigurationError(f"The environment: {error}.") from error
    named = {name[len(prefix) :].lower(): value for name, value in os.environ.items() if name.upper().startswith(prefix)}
    return {**{name: value for name, value in named.items() if name not in kind.model_fields}, **known}


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        inner = values.get(part) or {}
        if not isinstance(inner, Mapping):
            raise ConfigurationError(f"--set {name}: {part} has no settings inside; give it a whole new value.")
        values[part] = dict(inner)
        values = values[part]
    values[last] = value


def explained(problem: ErrorDetails, kind: type[BaseModel], called: str = "setting") -> str:
    """What is wrong in settings of a class, or in other fields that a person writes, and calls something else."""
    loc = problem["loc"]
    name = ".".join(map(str, loc))
    if problem["type"] == "extra_forbidden":
        known = _known_at(loc[:-1], kind)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
        return f"there is no {called} {name!r}. {hint}"
    if problem["type"] == "missing":
        return f"{name} is missing."
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    given = problem["input"]
    return f"{f'{name}: ' if name else ''}{message}{f'; it is {given!r}' if isinstance(given, str | int | float) else ''}."


def _known_at(where: Where, model: type[BaseModel]) -> list[str]:
    """Names of the settings at a place."""
    for part in where:
        if isinstance(part, str) and part in model.model_fields:
            model = next(iter(_models_in(model.model_fields[part].annotation)), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
