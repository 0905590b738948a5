"""MLflow as the registry of models: find the champion, register a bundle, move an alias.

A registered model is a ``pyfunc`` whose artifact is the bundle folder. Its Python code (``models.pyfunc_model``) is stored
as source, not as a pickle. MLflow is imported only when there is a store to ask, so that a server without one starts at
once.
"""

import tempfile
from pathlib import Path

import yaml

from models.bundle import RELEASED, Bundle, open_bundle
from models.errors import RegistryError
from models.runtime import Scorer
from models.settings import ModelSettings

CHAMPION = "champion"
BUNDLE_ARTIFACT = "bundle"
RELEASED_NAME = "released"


def open_scorer(settings: ModelSettings) -> Scorer:
    """The scorer that the settings ask for.

    Raises:
        ModelError: the model is not there, is broken, or its base encoder cannot be had.
    """
    return open_at(where(settings) or RELEASED_NAME, settings)


def open_at(place: str, settings: ModelSettings) -> Scorer:
    """The scorer at a place that ``where`` gave; errors as ``open_scorer``."""
    # A scorer holds all it needs. A server opens many in its life, and what each left behind would fill its disk.
    with tempfile.TemporaryDirectory(prefix="signaal-") as scratch:
        return Scorer.of_bundle(bundle_at(place, settings, Path(scratch)), settings)


def where(settings: ModelSettings, alias: str = CHAMPION) -> str | None:
    """The place of the model that has an alias now: ``released``, a folder, or ``models:/NAME/VERSION``. None when no model
    has it, which cannot be for the champion: ``settings.bundle`` says what that is.

    Cheap, so that whoever wants to notice a change can ask often.

    Raises:
        RegistryError: the store does not answer.
    """
    if alias != CHAMPION:
        return _registered(settings.registered_model, alias, settings)
    if settings.bundle == "auto":
        return _registered(settings.registered_model, alias, settings) or RELEASED_NAME
    if settings.bundle.startswith("models:/") and "@" in settings.bundle:
        name, _, other = settings.bundle.removeprefix("models:/").partition("@")
        return _registered(name, other, settings) or settings.bundle
    return settings.bundle


def bundle_at(place: str, settings: ModelSettings, scratch: Path | None = None) -> Bundle:
    """The bundle at a place that ``where`` gave. One from the registry is put into the folder ``scratch``, or where
    MLflow keeps it: for commands that soon end, because nobody clears that up.

    Raises:
        BundleError: it is broken, or no bundle.
        RegistryError: the registry does not have it.
    """
    if place == RELEASED_NAME:
        return open_bundle(RELEASED)
    return _from_registry(place, settings, scratch) if place.startswith("models:/") else open_bundle(Path(place))


def _registered(name: str, alias: str, settings: ModelSettings) -> str | None:
    """``models:/NAME/VERSION`` of an alias; None when there is no store, no such model, or no such alias."""
    uri = settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return None
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        return f"models:/{name}/{MlflowClient(uri, uri).get_model_version_by_alias(name, alias).version}"
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryError(f"The MLflow store {uri} does not answer: {error.message}") from error


def _from_registry(model_uri: str, settings: ModelSettings, scratch: Path | None) -> Bundle:
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(settings.mlflow_tracking_uri)
    try:
        folder = Path(
            mlflow.artifacts.download_artifacts(artifact_uri=model_uri, dst_path=None if scratch is None else str(scratch))
        )
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{model_uri} cannot be had from {settings.mlflow_tracking_uri}: {error}") from error
    # mlflow.models.Model would read this file, too, but with pandas, which a server does without.
    described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    try:
        artifact = described["flavors"]["python_function"]["artifacts"][BUNDLE_ARTIFACT]["path"]
    except (KeyError, TypeError) as error:
        raise RegistryError(f"{model_uri} is no model of Signaal: it holds no bundle.") from error
    return open_bundle(folder / artifact)


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
