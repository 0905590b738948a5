"""A bundle: the folder in which a model is saved, shipped and loaded.

::

    config.json            the network: encoder, labels, document types
    heads.safetensors      label attention and document-type head
    adapter.safetensors    LoRA weights, with adapter_config.json (method "lora"), or
    encoder.safetensors    the encoder's layers, without the embedding tables where they are the base encoder's (method "full"),
                           or neither (method "head": the base encoder as it is)
    calibration.json  taxonomy.yaml  metrics.json  MODEL_CARD.md
    profile.json           optional: the reference for drift (see ``models.profile``)
    manifest.json          what it is, and the SHA-256 of every other file

The base encoder is not in it: the manifest names it and its digests (see ``models.base``). There is no pickle. Loading
checks every file against the manifest and refuses a difference. The bundle's digest is the SHA-256 of its manifest.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from models.base import base_encoder_folder, sha256_of
from models.calibration import Calibration
from models.errors import BundleError
from models.profile import Profile
from models.scores import ModelIdentity
from models.taxonomy import Taxonomy, load_taxonomy

FORMAT = 2
"""2: the network was trained on blinded texts (``models.identity``). 1: it was not, and is given texts as they are."""
RELEASED = Path(__file__).parent / "released"
MANIFEST = "manifest.json"
PROFILE = "profile.json"
WEIGHT_FILES = ("config.json", "heads.safetensors", "adapter_config.json", "adapter.safetensors", "encoder.safetensors")
REQUIRED = ("config.json", "heads.safetensors", "calibration.json", "taxonomy.yaml", "metrics.json", "MODEL_CARD.md")


class BaseReference(BaseModel):
    """Which base encoder the weights belong on."""

    model_config = ConfigDict(frozen=True)

    name: str
    tokenizer_sha256: str
    layers: int


class Manifest(BaseModel):
    """What a bundle is, and the digest of each of its files."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    version: str
    created: str
    taxonomy_version: str
    base: BaseReference
    data_digest: str
    git_commit: str | None = None
    run_id: str | None = None
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked. Make one with ``open_bundle``."""

    folder: Path
    manifest: Manifest
    digest: str

    @cached_property
    def taxonomy(self) -> Taxonomy:
        return load_taxonomy(self.folder / "taxonomy.yaml")

    @cached_property
    def calibration(self) -> Calibration:
        try:
            return Calibration.from_json(self._json("calibration.json"))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{self.folder / 'calibration.json'} is not a calibration: {error!r}") from error

    @cached_property
    def profile(self) -> Profile | None:
        """None when the bundle holds none."""
        if PROFILE not in self.manifest.files:
            return None
        try:
            return Profile.from_json(self._json(PROFILE))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{self.folder / PROFILE} is not a profile: {error!r}") from error

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return self._json("metrics.json")

    @cached_property
    def card(self) -> str:
        return (self.folder / "MODEL_CARD.md").read_text(encoding="utf-8")

    @property
    def identity(self) -> ModelIdentity:
        m = self.manifest
        return ModelIdentity(m.name, m.version, self.digest, m.run_id, m.taxonomy_version)

    @property
    def weights_digest(self) -> str:
        """Digest of what decides the network's outputs: equal for bundles that differ only in calibration or texts."""
        return weights_digest(self.manifest.files, self.manifest.base)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return cast(dict[str, Any], json.loads((self.folder / name).read_text(encoding="utf-8")))
        except ValueError as error:
            raise BundleError(f"{self.folder / name} is not JSON: {error}") from error


def reads_blinded(bundle_format: int) -> bool:
    """Whether the network of a bundle reads words of origin, faith, status and gender as one word a class."""
    return bundle_format >= 2


def weights_digest(files: dict[str, str], base: BaseReference) -> str:
    """Digest over the weight files and the base encoder they belong on."""
    parts = [f"{name}={files[name]}" for name in WEIGHT_FILES if name in files]
    return hashlib.sha256("\n".join([*parts, base.model_dump_json()]).encode()).hexdigest()


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every file against its manifest.

    Raises:
        BundleError: no manifest, a file is missing, changed or not in the manifest; the message names the file.
    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        manifest = Manifest.model_validate_json(raw)
    except OSError as error:
        raise BundleError(f"{folder} is not a bundle: {MANIFEST} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{path} is not a manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    if not 1 <= manifest.format <= FORMAT:
        raise BundleError(f"{path} has format {manifest.format}; this version of Signaal reads formats 1 to {FORMAT}.")
    for name in REQUIRED:
        if name not in manifest.files:
            raise BundleError(f"{path} does not list {name}: the bundle is incomplete.")
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise BundleError(f"{path} lists {name!r}, which is not a plain file name.")
        if not (folder / name).is_file():
            raise BundleError(f"The bundle {folder} is broken: {name} is missing.")
        if sha256_of(folder / name) != expected:
            raise BundleError(f"The bundle {folder} is broken or was tampered with: {name} does not match its SHA-256.")
    return Bundle(folder, manifest, hashlib.sha256(raw).hexdigest())


def verified_base(base: BaseReference, cache_dir: Path) -> Path:
    """Folder of a bundle's base encoder, its tokenizer checked against the bundle's."""
    folder = base_encoder_folder(base.name, cache_dir)
    if sha256_of(folder / "tokenizer.json") != base.tokenizer_sha256:
        raise BundleError(f"The tokenizer of {base.name} in {folder} is not the one the bundle was trained with.")
    return folder


def seal(folder: Path, **facts: Any) -> Bundle:
    """Write the manifest of a finished bundle folder, with the digest of every file in it; then open it.

    Args:
        facts: the fields of ``Manifest`` other than ``files``.
    """
    files = {p.name: sha256_of(p) for p in sorted(folder.iterdir()) if p.is_file() and p.name != MANIFEST}
    manifest = Manifest(files=files, **facts)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return open_bundle(folder)
