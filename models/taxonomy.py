"""The taxonomy as data: which labels exist, what they mean, and in which order the network gives them.

``taxonomy.yaml`` beside this file is the one place where labels are defined. The order of its entries is the order of
the network's outputs, so a bundle carries its own copy.
"""

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import TaxonomyError

PACKAGED = Path(__file__).with_name("taxonomy.yaml")

Domain = Literal["service", "recruitment", "both"]


class Label(BaseModel):
    """An indicator or counter-indicator, with what a reviewer needs to decide it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    domain: Domain
    name: str
    definition: str
    cues: tuple[str, ...]
    hard_negatives: tuple[str, ...]


class DocumentType(BaseModel):
    """What kind of text it is; a text has exactly one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    definition: str


class Taxonomy(BaseModel):
    """All labels of one version, in the order of the network's outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    indicators: tuple[Label, ...]
    counter_indicators: tuple[Label, ...] = ()
    document_types: tuple[DocumentType, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Taxonomy":
        ids = [*self.label_ids, *self.document_type_ids]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"ids used twice: {', '.join(twice)}")
        return self

    @property
    def indicator_ids(self) -> tuple[str, ...]:
        return tuple(label.id for label in self.indicators)

    @property
    def counter_indicator_ids(self) -> tuple[str, ...]:
        return tuple(label.id for label in self.counter_indicators)

    @property
    def label_ids(self) -> tuple[str, ...]:
        """Indicators, then counter-indicators: column order of logits and evidence."""
        return self.indicator_ids + self.counter_indicator_ids

    @property
    def document_type_ids(self) -> tuple[str, ...]:
        return tuple(kind.id for kind in self.document_types)


def load_taxonomy(path: Path) -> Taxonomy:
    """Read a taxonomy file.

    Raises:
        TaxonomyError: the file is missing, is not YAML, or breaks the schema.
    """
    try:
        return Taxonomy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TaxonomyError(f"Cannot read the taxonomy {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise TaxonomyError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TaxonomyError(f"{path}: {where}: {first['msg']}") from error


@cache
def packaged_taxonomy() -> Taxonomy:
    """The taxonomy that ships with Signaal."""
    return load_taxonomy(PACKAGED)
