"""The network's part of a bundle: weights to files and back. Needs torch; the rest of a bundle (``models.bundle``) does not."""

import copy
import json
from pathlib import Path
from typing import cast

from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.bundle import BaseReference, verified_base
from models.errors import BundleError
from models.network import SignaalConfig, SignaalModel, add_lora, embeddings_of, merged, new_model

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"


def save_weights(model: SignaalModel, folder: Path, *, encoder_as_base: bool = False) -> None:
    """Write the network's part of a bundle: configuration, heads, and adapter or encoder.

    Frozen embedding tables are the base encoder's, and 80% of all weights: they are not written.

    Args:
        model: the network.
        folder: where to.
        encoder_as_base: the encoder is the base encoder, untouched, and need not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(cast(SignaalConfig, model.config))
    config.encoder = {name: value for name, value in config.encoder.items() if name != "_name_or_path"}  # of this machine
    config.to_json_file(folder / "config.json", use_diff=False)
    heads = {k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("encoder.")}
    save_file(heads, folder / "heads.safetensors")
    if isinstance(model.encoder, PeftModel):
        lora = cast(LoraConfig, model.encoder.peft_config["default"])
        settings = {"rank": lora.r, "alpha": lora.lora_alpha, "dropout": lora.lora_dropout}
        (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        adapter = {k: v.contiguous() for k, v in get_peft_model_state_dict(model.encoder).items()}
        save_file(adapter, folder / "adapter.safetensors")
    elif not encoder_as_base:
        frozen = {f"embeddings.{name}" for name, p in model.encoder.embeddings.named_parameters() if not p.requires_grad}
        encoder = {k: v.contiguous() for k, v in model.encoder.state_dict().items() if k not in frozen}
        save_file(encoder, folder / "encoder.safetensors")


def load_weights(folder: Path, base: BaseReference, cache_dir: Path) -> SignaalModel:
    """The network of a bundle on its base encoder, adapters merged, in evaluation mode.

    Raises:
        BundleError: the base encoder is not the one the weights were trained on.
        BaseEncoderError: the base encoder cannot be had.
    """
    config = cast(SignaalConfig, SignaalConfig.from_json_file(folder / "config.json"))
    if (folder / "encoder.safetensors").is_file():
        tensors = load_file(folder / "encoder.safetensors")
        model = SignaalModel(config)
        if WORD_EMBEDDINGS not in tensors:
            model.encoder.embeddings = embeddings_of(verified_base(base, cache_dir))
        _load_encoder(model, folder, tensors)
    else:
        model = new_model(verified_base(base, cache_dir), config, layers=base.layers)
        if (folder / "adapter.safetensors").is_file():  # else the heads were trained alone, on the base encoder as it is
            _add_lora_of(model, folder)
            _load_adapter(model, folder)
    _load_heads(model, folder)
    return merged(model).eval()


def start_from(model: SignaalModel, folder: Path) -> None:
    """Give a network that is about to be trained the weights of a bundle of the same make (in place).

    Raises:
        BundleError: the bundle has other labels, another method of training, other layers, or other adapters.
    """
    if isinstance(model.encoder, PeftModel) != (folder / "adapter.safetensors").is_file():
        raise BundleError(f"{folder} was trained with another method (lora or not) than this run's.")
    labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["labels"]
    if labels != cast(SignaalConfig, model.config).labels:
        raise BundleError(f"{folder} has other labels than this run's taxonomy.")
    try:
        if isinstance(model.encoder, PeftModel):
            _check_adapter(model.encoder, folder)
            _load_adapter(model, folder)
        elif (folder / "encoder.safetensors").is_file():
            _load_encoder(model, folder, load_file(folder / "encoder.safetensors"))
        _load_heads(model, folder)
    except RuntimeError as error:  # torch: a size mismatch
        raise BundleError(f"{folder} does not fit this run's network (layers, or the encoder's shape).") from error


def _load_encoder(model: SignaalModel, folder: Path, tensors: dict[str, Tensor]) -> None:
    missing, unexpected = model.encoder.load_state_dict(tensors, strict=False)
    if unexpected or any(not name.startswith("embeddings.") for name in missing):
        raise BundleError(f"{folder / 'encoder.safetensors'} does not fit the encoder of its config.json.")


def heads_only(model: SignaalModel, folder: Path | None) -> SignaalModel:
    """Freeze the encoder of a network that is about to be trained (in place): only its heads will learn.

    Args:
        model: the network, fresh.
        folder: a bundle whose encoder, adapter and heads it begins with; None for the base encoder as it is.

    Raises:
        BundleError: the bundle has other labels, or another encoder.
    """
    if folder is not None:
        if (folder / "adapter.safetensors").is_file():
            _add_lora_of(model, folder)
        start_from(model, folder)
    for parameter in model.encoder.parameters():
        parameter.requires_grad = False
    return model


def _add_lora_of(model: SignaalModel, folder: Path) -> None:
    add_lora(model, **json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")))


def _check_adapter(encoder: PeftModel, folder: Path) -> None:
    """Another rank does not fit; another scale fits, and would be another network than the bundle's."""
    theirs = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    ours = cast(LoraConfig, encoder.peft_config["default"])
    if (theirs["rank"], theirs["alpha"]) != (ours.r, ours.lora_alpha):
        raise BundleError(
            f"{folder} has adapters of rank {theirs['rank']} and alpha {theirs['alpha']}, this run {ours.r} and "
            f"{ours.lora_alpha}: set lora_rank and lora_alpha to the bundle's."
        )


def _load_adapter(model: SignaalModel, folder: Path) -> None:
    loaded = set_peft_model_state_dict(cast(PeftModel, model.encoder), load_file(folder / "adapter.safetensors"))
    if loaded.unexpected_keys or any("lora_" in name for name in loaded.missing_keys):
        raise BundleError(f"{folder / 'adapter.safetensors'} does not fit the network: it has other layers.")


def _load_heads(model: SignaalModel, folder: Path) -> None:
    _, unexpected = model.load_state_dict(load_file(folder / "heads.safetensors"), strict=False)
    if unexpected:
        raise BundleError(f"{folder / 'heads.safetensors'} does not fit its config.json.")
