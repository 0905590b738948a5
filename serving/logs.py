"""What the log looks like: lines of JSON or of text, and in neither anything that a caller sent.

Ours are the messages of the whole process: those of libraries pass through the same formatter. An error is written down by its
kind and the way to it; its message may hold a text. Fields beside the message are those named here, and no others.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

import structlog

log = logging.getLogger("signaal.serve")

FIELDS = (
    "request_id",
    "trace_id",
    "method",
    "route",
    "status",
    "duration_ms",
    "ads",
    "problem",
    "model",
    "key_id",
)
LogFormat = Literal["json", "text"]


def configure_logs(form: LogFormat) -> None:
    """Send the log of this process to standard error in one form, and let no error print itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    threading.excepthook = _log_end_of_thread


def formatter(form: LogFormat) -> logging.Formatter:
    """The formatter of all messages, ours and the libraries'."""
    as_text = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False, sort_keys=False, timestamp_key="time")
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(FIELDS),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_messages,
            structlog.processors.JSONRenderer() if form == "json" else as_text,
        ],
    )


def way_to(error: BaseException) -> str:
    """Where an error comes from, without its message and those of the errors behind it."""
    return "".join(traceback.format_tb(error.__traceback__))


def log_loop_error(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """For ``loop.set_exception_handler``: asyncio itself would write down the error's message, and what callbacks were given."""
    error = context.get("exception")
    kind = "trouble" if error is None else type(error).__qualname__
    log.error("Unforeseen %s in the event loop.", kind, exc_info=error)


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "?"
    log.critical("Thread %s ended by an unforeseen %s.", name, ended.exc_type.__qualname__, exc_info=ended.exc_value)


def _without_messages(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    given: tuple[type, BaseException, TracebackType] | BaseException | None = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    event.pop("stack_info", None)
    if error is not None:
        event["exception"] = f"{way_to(error)}{type(error).__qualname__}"
    return event
