"""Checkpoints: what a run that was killed goes on from.

``OUTPUT/checkpoints-RUN/`` holds the run's configuration (``config.yaml``), its id and the digest of its data
(``run.json``), a lock while a process is at it, and ``checkpoint-STEP/`` folders, of which the last and the best stay. It goes
when the run has its bundle.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from models.settings import ModelSettings
from training.configuration import configuration_text, load_settings
from training.errors import TrainingError
from training.lock import alone_in
from training.processes import from_first
from training.settings import TrainingSettings

STATE = "trainer_state.json"
"""Transformers writes it last, so a checkpoint that has it is whole."""
RUN = "run.json"
"""Written last and removed first: a folder that has it can be gone on from."""
DECIDE = ("precision", "registered_model")
"""Of the environment's settings, those that decide a run's figures, and where its bundle goes."""
PASSING = "passing-"
"""How the name of a folder begins whose training nobody resumes."""


@contextmanager
def passing_checkpoints(output: Path) -> Iterator[Path]:
    """A folder for the checkpoints of a training that is not resumed; it goes with everything in it, whatever happens."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PASSING, dir=output) as folder:
        yield Path(folder)


class RunFolder:
    """The folder of a run that may have to go on later.

    Args:
        output: where runs leave things.
        run_id: the run's id in MLflow.
    """

    def __init__(self, output: Path, run_id: str) -> None:
        self.path = (output / f"checkpoints-{run_id[:8]}").resolve()
        self._run = run_id[:8]

    def begin(self, settings: TrainingSettings, run_id: str, data_digest: str, model_settings: ModelSettings) -> None:
        """Write down what the run is, so that it can go on, from whatever folder and in whatever environment."""
        self.path.mkdir(parents=True, exist_ok=True)
        config = configuration_text(settings.anchored(), comments=False)
        (self.path / "config.yaml").write_text(config, encoding="utf-8")
        facts = {
            "run_id": run_id,
            "data_digest": data_digest,
            "store": _anchored_store(model_settings.mlflow_tracking_uri),
            **{name: getattr(model_settings, name) for name in DECIDE},
        }
        (self.path / RUN).write_text(json.dumps(facts), encoding="utf-8")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, no other process works on this run, which has begun.

        Raises:
            TrainingError: another process works on it, or has just finished it.
        """
        with alone_in(self.path, f"Run {self._run}"):
            if not self.has_begun:
                raise TrainingError(f"Run {self._run} was finished by another process: there is nothing to go on from.")
            yield

    @property
    def has_begun(self) -> bool:
        """Whether there is something to go on from."""
        return (self.path / RUN).is_file()

    def remove(self) -> None:
        """The run is finished: nothing is left to go on from. What makes the folder a run goes first, so that one that is killed
        here leaves no run that seems to be interrupted and lacks its last checkpoints."""
        (self.path / RUN).unlink()
        shutil.rmtree(self.path)

    def model_settings(self, given: ModelSettings) -> ModelSettings:
        """Those that the run goes on with: what decides its bundle is as it was; the MLflow store, too, when that is a file
        here and the environment names none."""
        facts = self._facts()
        kept = {name: facts[name] for name in DECIDE if name in facts}
        if facts.get("store") and "mlflow_tracking_uri" not in given.model_fields_set:
            kept["mlflow_tracking_uri"] = facts["store"]
        return given.model_copy(update=kept)

    @property
    def data_digest(self) -> str:
        """Of the data that the run began with."""
        return str(self._facts()["data_digest"])

    def _facts(self) -> dict[str, Any]:
        return dict(json.loads((self.path / RUN).read_text(encoding="utf-8")))

    def last_checkpoint(self) -> Path | None:
        """The latest checkpoint that is whole; None when there is none."""
        steps = sorted(self.path.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]), reverse=True)
        return next((folder for folder in steps if _state(folder)), None)


def _anchored_store(tracking_uri: str) -> str | None:
    """A store that is an SQLite file, by its absolute path; other addresses are not written down: they may hold a password."""
    scheme = "sqlite:///"
    return f"{scheme}{Path(tracking_uri.removeprefix(scheme)).absolute()}" if tracking_uri.startswith(scheme) else None


def training_is_over(checkpoint: Path) -> bool:
    """Whether the loop had stopped when the checkpoint was made: nothing is left but to take the best."""
    state = _state(checkpoint)
    stopped = state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {}).get("should_training_stop", False)
    return bool(stopped) or state["global_step"] >= state["max_steps"]


def _state(checkpoint: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((checkpoint / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def interrupted(run: str, output: Path) -> tuple[TrainingSettings, str]:
    """Settings and run id of a run that was killed.

    Args:
        run: the run's id in MLflow, its first eight characters, or its checkpoint folder.
        output: where runs leave things.

    Raises:
        TrainingError: there is no such run, or it is finished.
    """
    folder = Path(run) if (Path(run) / RUN).is_file() else RunFolder(output, run).path
    try:
        known = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        begun = (path.parent.name for path in output.glob(f"checkpoints-*/{RUN}"))
        there = ", ".join(sorted(name.removeprefix("checkpoints-") for name in begun)) or "none"
        raise TrainingError(
            f"There is no interrupted run {run!r} in {output} (a finished one has no checkpoints left). Those there are: {there}."
        ) from error
    began_with = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    began_with["output"] = str(folder.resolve().parent)  # wherever this is called from
    return load_settings(None, began_with), known["run_id"]


class Clock(TrainerCallback, ExportableState):
    """Ends training when its minutes are over, and asks for checkpoints within an epoch. The first process's clock holds.

    Args:
        minutes: how long training may take in all, over interruptions; None for no limit.
        checkpoint_minutes: at least so long between checkpoints within an epoch.
    """

    def __init__(self, minutes: float | None, checkpoint_minutes: float) -> None:
        self.minutes = minutes
        self.checkpoint_minutes = checkpoint_minutes
        self.spent = 0.0
        """Minutes of training before this process began."""
        self.begun = self.saved = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.begun = self.saved = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        over, due = from_first(
            (
                self.minutes is not None and self._minutes(now) >= self.minutes,
                now - self.saved >= self.checkpoint_minutes * 60,
            )
        )
        if over:
            control.should_training_stop = True
        # An epoch's end is evaluated and saved by itself; a checkpoint just before would hide that this is still to be done.
        if due and not control.should_training_stop and state.global_step % len(kwargs["train_dataloader"]) != 0:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.saved = time.monotonic()

    def _minutes(self, now: float) -> float:
        return self.spent + (now - self.begun) / 60

    def state(self) -> dict[str, Any]:
        return {
            "args": {"minutes": self.minutes, "checkpoint_minutes": self.checkpoint_minutes},
            "attributes": {"spent": self._minutes(time.monotonic())},
        }
