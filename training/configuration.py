"""The configuration file of a run: YAML, read with line numbers, so that an error says where it is.

A value comes from the command line, else from the environment (``SIGNAAL_TRAIN_*``), else from the file, else it is the
default of ``training.settings``, whose descriptions are also the comments of the file that ``signaal-train init`` writes.
"""

import logging
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from training.checked_settings import Where, checked
from training.errors import ConfigurationError
from training.settings import HEADINGS, TrainingSettings

log = logging.getLogger(__name__)

WIDTH = 110


def load_settings(
    file: Path | None = None, changes: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None
) -> TrainingSettings:
    """The settings of a run.

    Args:
        file: a configuration file; None when there is none.
        changes: what the command line says: a setting, or ``outer.inner``, to its value.
        defaults: what a command takes instead of the settings' own defaults, also where the file says just these: one that
            ``init`` wrote says all of them.

    Raises:
        ConfigurationError: the file cannot be read, or something in it, the environment or ``changes`` is wrong; the message
            names every place.
    """
    values, lines = _read(file) if file else ({}, {})
    own = {name: value for name, value in (defaults or {}).items() if name not in values or values[name] == _default(name)}
    if instead := {name: value for name, value in own.items() if name in values}:
        told = ", ".join(f"{name} {value}" for name, value in instead.items())
        log.info("Instead of a run's defaults in %s, this command's: %s. --set overrules.", file, told)
    values = {**values, **own}

    def place(loc: Where) -> str:
        return f"{file}:{next((lines[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in lines), 1)}"

    return checked(TrainingSettings, changes or {}, values, place)


def _default(name: str) -> Any:
    return TrainingSettings.model_fields[name].default


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """``key=value`` (the value as YAML has it) to what ``load_settings`` takes.

    Raises:
        ConfigurationError: one is not of that form.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"--set {assignment}: write it as key=value.")
        try:
            changes[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--set {assignment}: the value is not YAML.") from error
    return changes


# ---- reading ---------------------------------------------------------------------------------------------------------


def _read(file: Path) -> tuple[dict[str, Any], dict[Where, int]]:
    """The file's content, and the line of every key and item in it."""
    try:
        loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        lines = dict(_lines(node, (), file)) if node else {}
        content = loader.construct_document(node) if node else {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"Cannot read the configuration {file}: {reason}.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{file}:{line}: this is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: this is not YAML: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}:1: a configuration is a list of settings, one a line: 'name: value'.")
    return content, lines


def _lines(node: yaml.Node, where: Where, file: Path) -> Iterator[tuple[Where, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigurationError(f"{file}:{line}: a name is expected here.")
            if key.value in seen:
                raise ConfigurationError(f"{file}:{line}: {key.value!r} is set twice, here and in line {seen[key.value]}.")
            seen[key.value] = line
            yield (*where, key.value), line
            yield from _lines(value, (*where, key.value), file)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*where, index), item.start_mark.line + 1
            yield from _lines(item, (*where, index), file)


# ---- writing ---------------------------------------------------------------------------------------------------------


def configuration_text(settings: TrainingSettings, *, comments: bool = True) -> str:
    """A configuration file with every setting; ``load_settings`` of it gives the same settings.

    Args:
        settings: what it says.
        comments: with the description of every setting above it, and headings.
    """
    if not comments:
        return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    title = "A run of signaal-train: signaal-train run FILE. What is left out has its default; --set name=value overrides a line."
    return "\n".join([*_comment(title, ""), *_written(settings, "")]) + "\n"


def _written(model: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        if isinstance(model, TrainingSettings) and name in HEADINGS:
            yield f"\n# ---- {HEADINGS[name]} {'-' * (WIDTH - 8 - len(HEADINGS[name]))}\n"
        yield from _comment(field.description or "", indent)
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _written(value, indent + "  ")
        elif isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from (
                f"{indent}  {key}: {_flow(one.model_dump(mode='json', exclude_defaults=True))}" for key, one in value.items()
            )
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            yield f"{indent}{name}:"
            for item in value:
                yield f"{indent}  -"
                yield from _written(item, indent + "    ")
        else:
            yield f"{indent}{name}: {_flow(model.model_dump(mode='json', include={name})[name])}"


def _flow(value: Any) -> str:
    """YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000)
    return text.rstrip().removesuffix("...").rstrip()


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
