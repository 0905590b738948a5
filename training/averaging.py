"""The mean of the weights of several bundles: runs that began with the same weights and differ in their seed, or in how they
were trained, lie in one valley, and their mean is often better than each, at the price of one. After Wortsman et al. 2022,
"Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time".
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from models.bundle import WEIGHT_FILES, Bundle
from models.errors import BundleError
from models.network import OF_TRAINING
from training.provenance import STARTED_FROM, how_of_mean, how_trained, write_how


def write_mean(bundles: Sequence[Bundle], folder: Path) -> None:
    """Write the network's part of a bundle: the mean of theirs, or a copy where there is one.

    Raises:
        BundleError: they are of different makes, or neither did they begin with the same weights nor one with another's. LoRA's
            two factors can be averaged one by one only near a common beginning.
    """
    first, *others = bundles
    if others and not _of_one_beginning(bundles):
        raise BundleError("These bundles did not begin with the same weights (start_from): their mean would mean nothing.")
    folder.mkdir(parents=True)
    for name in (*WEIGHT_FILES, "taxonomy.yaml"):
        there = {bundle.folder / name for bundle in bundles if (bundle.folder / name).is_file()}
        if there and len(there) < len(bundles):
            raise BundleError(f"Not all of these bundles have {name}: they were trained in different ways.")
        if others and name.endswith(".safetensors") and there:
            _write_mean_of(sorted(there), folder / name)
        elif there:
            if len({_make(path) for path in there}) > 1:
                raise BundleError(f"These bundles differ in {name}: they are of different makes.")
            shutil.copyfile(first.folder / name, folder / name)
    write_how(how_of_mean(bundles), folder)


def _of_one_beginning(bundles: Sequence[Bundle]) -> bool:
    """Whether all began with the same weights, or with those of another of them that did, or is itself the beginning."""
    own = {str(bundle.identity) for bundle in bundles}
    begun = [how_trained(bundle).get(STARTED_FROM) for bundle in bundles]
    elsewhere = [start for start in begun if start not in own]
    return len(elsewhere) == 1 or (None not in elsewhere and len(set(elsewhere)) == 1)


def _make(path: Path) -> bytes:
    """What a file says of a network's make, by which two can be compared."""
    if path.name != "config.json":
        return path.read_bytes()
    facts = json.loads(path.read_text(encoding="utf-8"))
    noted = {name for name in facts if name.startswith("_")}  # by transformers: where it was loaded from
    known = {name: facts[name] for name in sorted(facts.keys() - OF_TRAINING - noted) if facts[name] is not None}
    return json.dumps(known).encode()


def _write_mean_of(files: Sequence[Path], to: Path) -> None:
    tensors = [load_file(path) for path in files]
    if len({tuple((name, one.shape) for name, one in sorted(each.items())) for each in tensors}) > 1:
        raise BundleError(f"These bundles' {to.name} do not fit one another.")
    save_file({name: torch.stack([each[name] for each in tensors]).mean(0) for name in tensors[0]}, to)
