"""Heads on a frozen encoder: token states are computed once, then label attention is trained on them in seconds.

It is the network's own head (``models.network.LabelAttention``) with the network's own losses, so what it finds hard the
network finds hard too; only the encoder does not move. That makes ten trainings affordable where one fine-tuning is not:
for probabilities out of sample (``training.noise``) and for learning curves (``training.curve``).

Given up: logistic regression on mean-pooled embeddings, which is simpler and does not see single words; the figures of both
are in ``docs/label-noise.md``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base import base_encoder_folder
from models.bundle import Bundle, reads_blinded
from models.example import LabelledExample
from models.losses import evidence_loss
from models.network import LabelAttention, SignaalConfig, new_model, use_fused_attention
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.weights import load_weights
from models.windows import Window, WindowMaker, batches, padded
from training.dataset import WindowCollator, rows_of
from training.loop import device
from training.progress import with_progress

TOKENS_AT_ONCE = 4096
"""Of one batch through the encoder, padding included."""
EPOCHS = 8
LEAST_STEPS = 300
"""Of a training, however few texts there are: a small part must not score low for having been learnt from too briefly."""
BATCH = 32
LEARNING_RATE = 2e-3
DROPOUT = 0.1


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that stays as it is, and how it reads texts. ``name`` says which, for reports."""

    name: str
    network: nn.Module
    maker: WindowMaker

    @classmethod
    def of_base(cls, base: str, settings: ModelSettings, layers: int | None = None) -> "FrozenEncoder":
        """The base encoder as it comes: it has seen no label, so nothing of one can leak into its states.

        Raises:
            BaseEncoderError: it cannot be had.
        """
        folder = base_encoder_folder(base, settings.cache_dir)
        network = use_fused_attention(new_model(folder, SignaalConfig(labels=["none"]), layers=layers)).encoder
        return cls(base, network.to(device()).eval(), WindowMaker(folder / "tokenizer.json"))

    @classmethod
    def of_bundle(cls, bundle: Bundle, settings: ModelSettings) -> "FrozenEncoder":
        """A bundle's fine-tuned encoder. It knows the labels of the texts it was trained on, wrong ones too: of those texts
        it finds fewer errors.

        Raises:
            BaseEncoderError, BundleError: it cannot be loaded.
        """
        base = bundle.manifest.base
        network = use_fused_attention(load_weights(bundle.folder, base, settings.cache_dir)).encoder
        tokenizer = base_encoder_folder(base.name, settings.cache_dir) / "tokenizer.json"
        return cls(
            str(bundle.identity), network.to(device()).eval(), WindowMaker(tokenizer, blind=reads_blinded(bundle.manifest.format))
        )

    def batches(self, windows: Sequence[Window], what: str) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Windows of like length through the encoder: their places, and on the CPU token states [batch, longest, hidden] and
        mask. Shows a progress bar."""
        for places in with_progress(list(batches(windows, TOKENS_AT_ONCE)), what):
            ids, mask = (torch.from_numpy(values) for values in padded([windows[i] for i in places], self.maker.pad_id))
            with torch.inference_mode():
                states = self.network(input_ids=ids.to(device()), attention_mask=mask.to(device())).last_hidden_state.cpu()
            yield places, states, mask


@dataclass(frozen=True)
class TokenStates:
    """The token states of examples: ``states[i]`` is [tokens, hidden] in half precision, of the window that ``rows[i]``
    (as in ``training.dataset.rows_of``) describes; ``windows_of[e]`` are the places of example ``e``'s windows."""

    taxonomy: Taxonomy
    examples: Sequence[LabelledExample]
    rows: list[dict[str, Any]]
    states: list[Tensor]
    windows_of: list[list[int]]
    pad_id: int

    def with_labels_of(self, examples: Sequence[LabelledExample], maker: WindowMaker) -> "TokenStates":
        """The same texts with other labels."""
        rows = [row for example in examples for row in rows_of([example], self.taxonomy, maker, soft=False)]
        return TokenStates(self.taxonomy, examples, rows, self.states, self.windows_of, self.pad_id)


def token_states(encoder: FrozenEncoder, examples: Sequence[LabelledExample], taxonomy: Taxonomy) -> TokenStates:
    """Run every text through the encoder, once, with a progress bar. About 80 kB a text of 100 tokens."""
    rows: list[dict[str, Any]] = []
    windows_of: list[list[int]] = []
    for example in examples:
        own = rows_of([example], taxonomy, encoder.maker, soft=False)
        windows_of.append(list(range(len(rows), len(rows) + len(own))))
        rows += own
    states: list[Tensor] = [torch.empty(0)] * len(rows)
    windows = encoder.maker.windows([example.text for example in examples])
    for places, hidden, _ in encoder.batches(windows, "Reading texts"):
        for place, index in enumerate(places):
            states[index] = hidden[place, : len(windows[index])].to(torch.float16).clone()
    return TokenStates(taxonomy, examples, rows, states, windows_of, encoder.maker.pad_id)


def mean_states(encoder: FrozenEncoder, texts: Sequence[str]) -> NDArray[np.float64]:
    """One vector a text, [texts, hidden]: the mean of its token states; of several windows the mean of theirs."""
    windows = encoder.maker.windows(texts)
    pooled: list[NDArray[np.float64]] = [np.empty(0)] * len(windows)
    for places, hidden, mask in encoder.batches(windows, "Embedding"):
        means = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        for place, index in enumerate(places):
            pooled[index] = means[place].numpy().astype(np.float64)
    of_text: list[list[int]] = [[] for _ in texts]
    for index, window in enumerate(windows):
        of_text[window.text_index].append(index)
    return np.stack([np.mean([pooled[i] for i in own], axis=0) for own in of_text])


def fit_heads(known: TokenStates, examples: Sequence[int], *, seed: int) -> LabelAttention:
    """Train label attention on the states of some examples.

    Labels weigh alike (no weights for rare ones), so that the sigmoid of a logit is near the share that it stands for.

    Args:
        known: states and labels.
        examples: places of those that may be learnt from.
        seed: of weights, order and dropout.
    """
    generator = torch.Generator().manual_seed(seed)
    windows = [window for example in examples for window in known.windows_of[example]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = LabelAttention(known.states[windows[0]].shape[1], len(known.taxonomy.label_ids), DROPOUT).to(device())
        optimizer = torch.optim.AdamW(heads.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
        steps_an_epoch = -(-len(windows) // BATCH)
        epochs = max(EPOCHS, -(-LEAST_STEPS // steps_an_epoch))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LEARNING_RATE, total_steps=epochs * steps_an_epoch, pct_start=0.1
        )
        collate = WindowCollator(known.pad_id)
        for _ in range(epochs):
            for batch in _like_length_batches(known, windows, generator):
                targets = {name: value.to(device()) for name, value in collate([known.rows[i] for i in batch]).items()}
                evidence, logits = heads(_padded_states(known, batch), targets["attention_mask"])
                loss = nn.functional.binary_cross_entropy_with_logits(logits, targets["labels"])
                weights = torch.ones_like(targets["labels"])
                loss = loss + evidence_loss(evidence, targets["evidence_targets"], targets["labels"], weights)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return heads.eval()


def _like_length_batches(known: TokenStates, windows: list[int], generator: torch.Generator) -> Iterator[list[int]]:
    """All windows in random batches of like length: sorted within stretches, and the batches shuffled."""
    order = [windows[i] for i in torch.randperm(len(windows), generator=generator).tolist()]
    stretch = BATCH * 25
    found = []
    for start in range(0, len(order), stretch):
        near = sorted(order[start : start + stretch], key=lambda i: len(known.states[i]))
        found += [near[i : i + BATCH] for i in range(0, len(near), BATCH)]
    for place in torch.randperm(len(found), generator=generator).tolist():
        yield found[place]


def _padded_states(known: TokenStates, windows: Sequence[int]) -> Tensor:
    """[windows, longest, hidden], single precision."""
    return nn.utils.rnn.pad_sequence([known.states[i].float() for i in windows], batch_first=True).to(device())


def head_logits(heads: LabelAttention, known: TokenStates, examples: Sequence[int]) -> NDArray[np.float64]:
    """Logits [examples, labels]; of several windows the highest, as in ``models.runtime``."""
    windows = sorted((w for e in examples for w in known.windows_of[e]), key=lambda i: len(known.states[i]))
    logits = np.empty((len(known.states), len(known.taxonomy.label_ids)))
    with torch.inference_mode():
        for start in range(0, len(windows), BATCH):
            batch = windows[start : start + BATCH]
            states = _padded_states(known, batch)
            lengths = torch.tensor([len(known.states[i]) for i in batch])
            mask = (torch.arange(states.shape[1])[None] < lengths[:, None]).to(torch.int64)
            logits[batch] = heads(states, mask.to(device()))[1].cpu().numpy()
    return np.stack([logits[known.windows_of[e]].max(axis=0) for e in examples])
