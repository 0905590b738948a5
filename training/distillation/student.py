"""A student's first weights: some of the teacher's layers, and all its heads.

After Sanh et al. 2019 ("DistilBERT"): a student that begins with layers of its teacher ends far above one that begins anew.
"""

import copy

import numpy as np

from models.network import SignaalModel, freeze_embeddings
from training.errors import TrainingError


def picked_layers(of: int, keep: int) -> list[int]:
    """Which layers a student keeps: evenly spread, the first and the last among them (the last alone for one).

    Raises:
        TrainingError: there are not so many.
    """
    if keep > of:
        raise TrainingError(f"The teacher has {of} encoder layers: a student cannot have {keep}.")
    return [of - 1] if keep == 1 else np.linspace(0, of - 1, keep).round().astype(int).tolist()


def new_student(teacher: SignaalModel, layers: int) -> SignaalModel:
    """A network of so many layers with the teacher's weights; its embedding tables are frozen.

    Args:
        teacher: merged, in evaluation mode; from now on its embedding tables are frozen, too.
        layers: how many to keep.
    """
    picked = picked_layers(teacher.encoder.config.num_hidden_layers, layers)
    config = copy.deepcopy(teacher.config)
    config.encoder = {**config.encoder, "num_hidden_layers": layers}
    student = SignaalModel(config)
    for part in ("attention", "document_type"):
        if getattr(teacher, part) is not None:
            getattr(student, part).load_state_dict(getattr(teacher, part).state_dict())
    student.encoder.embeddings.load_state_dict(teacher.encoder.embeddings.state_dict())
    # one table for both: it is 384 MB, and neither changes it
    student.encoder.embeddings.word_embeddings.weight = teacher.encoder.embeddings.word_embeddings.weight
    for place, layer in enumerate(picked):
        student.encoder.encoder.layer[place].load_state_dict(teacher.encoder.encoder.layer[layer].state_dict())
    return freeze_embeddings(student)
