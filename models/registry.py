"""MLflow as the registry of models: find the champion, register a bundle, move an alias.

A registered model is a ``pyfunc`` whose artifact is the bundle folder. Its Python code (``models.pyfunc_model``) is stored
as source, not as a pickle. MLflow is imported only when there is a store to ask, so that a server without one starts at
once.
"""

from pathlib import Path

from models.bundle import RELEASED, Bundle, open_bundle
from models.errors import RegistryError
from models.runtime import Scorer
from models.settings import ModelSettings

CHAMPION = "champion"
BUNDLE_ARTIFACT = "bundle"


def open_scorer(settings: ModelSettings) -> Scorer:
    """The scorer that the settings ask for.

    Raises:
        ModelError: the model is not there, is broken, or its base encoder cannot be had.
    """
    return Scorer.of_bundle(find_bundle(settings), settings)


def find_bundle(settings: ModelSettings) -> Bundle:
    """The bundle that ``settings.bundle`` names (see there)."""
    if settings.bundle == "released":
        return open_bundle(RELEASED)
    if settings.bundle.startswith("models:/"):
        return _from_registry(settings.bundle, settings)
    if settings.bundle != "auto":
        return open_bundle(Path(settings.bundle))
    if champion_version(settings) is None:
        return open_bundle(RELEASED)
    return _from_registry(f"models:/{settings.registered_model}@{CHAMPION}", settings)


def champion_version(settings: ModelSettings) -> str | None:
    """Version of the registered champion; None when there is no store, no such model, or no such alias."""
    uri = settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return None
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        return str(MlflowClient(uri, uri).get_model_version_by_alias(settings.registered_model, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryError(f"The MLflow store {uri} does not answer: {error.message}") from error


def _from_registry(model_uri: str, settings: ModelSettings) -> Bundle:
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(settings.mlflow_tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{model_uri} cannot be had from {settings.mlflow_tracking_uri}: {error}") from error
    artifacts = Model.load(folder).flavors["python_function"]["artifacts"]
    return open_bundle(folder / artifacts[BUNDLE_ARTIFACT]["path"])


def promote(version: str, settings: ModelSettings, alias: str = CHAMPION) -> None:
    """Give a registered version the alias.

    Raises:
        RegistryError: there is no such version.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    uri = settings.mlflow_tracking_uri
    try:
        client = MlflowClient(uri, uri)
        client.get_model_version(settings.registered_model, version)
        client.set_registered_model_alias(settings.registered_model, alias, version)
    except MlflowException as error:
        raise RegistryError(f"{settings.registered_model} version {version} cannot become {alias}: {error.message}") from error
