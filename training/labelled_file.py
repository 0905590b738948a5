"""A labelled-examples file for work that needs no splits: noise and learning curves."""

from pathlib import Path

from models.example import LabelledExample, read_examples
from models.taxonomy import Taxonomy
from training.data import check_names
from training.errors import TrainingError


def read_labelled(path: Path, taxonomy: Taxonomy) -> list[LabelledExample]:
    """Every example; one without an id gets that of its place (``#12``).

    Raises:
        ExampleError: a line breaks the schema.
        TrainingError: there is none, a label or document type is unknown, or an id is used twice.
    """
    examples: list[LabelledExample] = []
    seen: set[str] = set()
    for number, example in enumerate(read_examples(path), start=1):
        named = example if example.id else example.model_copy(update={"id": f"#{number}"})
        check_names(named, f"{path}: example {named.id}", taxonomy)
        if named.id in seen:
            raise TrainingError(f"{path}: the id {named.id} is used twice; a doubt could not be traced to its text.")
        seen.add(named.id)
        examples.append(named)
    if not examples:
        raise TrainingError(f"{path} holds no example.")
    return examples
