"""Published figures of a data set, to stand beside ours: whoever runs the benchmark gives them, with their source."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.checked_settings import explained
from training.errors import TrainingError

SIDE_FILE = ".published.json"
"""Instead of the data's own ending: ``data.jsonl``, ``data.published.json``."""

Share = Annotated[float | None, Field(ge=0, le=1)]


class Published(BaseModel):
    """What one source says of one system on the data; shares from 0 to 1, as in ``report.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, pattern=r"^[^|\n]*$")
    accuracy: Share = None
    macro_f1: Share = None
    micro_f1: Share = None
    weighted_f1: Share = None
    span_token_f1: Share = None

    @model_validator(mode="after")
    def _says_something(self) -> "Published":
        if len(self.model_fields_set) < 2:  # the source is one
            raise ValueError("give at least one of accuracy, macro_f1, micro_f1, weighted_f1, span_token_f1, from 0 to 1")
        return self


def read_published(given: Path | None, data: Path) -> Published | None:
    """The published figures in a file, or in the one beside the data; None when neither is there.

    Raises:
        TrainingError: a file that is given cannot be read, or something in it cannot be.
    """
    path = given or data.with_suffix(SIDE_FILE)
    if given is None and not path.is_file():
        return None
    try:
        return Published.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"Cannot read the published figures {path}: {error.strerror}.") from error
    except ValidationError as error:
        wrong = " ".join(explained(problem, Published, "figure") for problem in error.errors())
        raise TrainingError(f'{path}: {wrong} Write {{"source": "who, where", "macro_f1": 0.931}}.') from error
