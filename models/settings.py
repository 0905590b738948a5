"""Settings of this room, from the environment (``SIGNAAL_*``)."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_cache() -> Path:
    return Path.home() / ".cache" / "signaal"


class ModelSettings(BaseSettings):
    """Where models come from and how they run."""

    model_config = SettingsConfigDict(env_prefix="SIGNAAL_")

    bundle: str = Field(
        default="auto",
        description="Which model: 'auto' (the registered champion, or the released model when there is none), 'released', "
        "a bundle folder, or an MLflow URI such as models:/signaal@champion.",
    )
    cache_dir: Path = Field(
        default_factory=_default_cache,
        description="Folder for what is fetched or built once: the base encoder and ONNX graphs. Holds no ad.",
    )
    mlflow_tracking_uri: str = Field(
        default="sqlite:///mlflow.db", description="MLflow tracking and registry store; an http(s) URL for a server."
    )
    registered_model: str = Field(default="signaal", description="Name of the registered model in MLflow.")
    precision: Literal["int8", "fp32"] = Field(
        default="fp32",
        description="Numbers of the ONNX graph. int8 is a quarter of the size and twice as fast, for CPUs only, and nearly as "
        "good; the released calibration is fitted on fp32.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="Threads of one scorer, and batches it runs side by side; 0 for as many as there are cores to use.",
    )
    cpus: str = Field(
        default="",
        pattern=r"^(\d+(-\d+)?(,\d+(-\d+)?)*)?$",
        description="Cores that the process may use, such as 0-3,6, so that several on one machine leave one another alone; all "
        "when empty. Linux only.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the graph runs. auto: on the first NVIDIA GPU where onnxruntime-gpu is installed and the precision is "
        "fp32, else on the CPU. cuda: there, or not at all.",
    )

    def cores(self) -> set[int]:
        """The cores that ``cpus`` names; none when it is empty."""
        named: set[int] = set()
        for part in filter(None, self.cpus.split(",")):
            first, _, last = part.partition("-")
            named |= set(range(int(first), int(last or first) + 1))
        return named
