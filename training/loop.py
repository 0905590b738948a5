"""A plain training loop, for what has less to do than ``transformers.Trainer`` wants to be told: benchmarks.

Like-length batches, AdamW with one rate for the encoder and one for the heads, cosine schedule, clipped gradients; the weights
of the best validation score are kept in memory, of equal scores the later's, and training stops early, though not in its first
half: few texts under a high learning rate may stay at chance for many epochs. One device: the first GPU, or the CPU.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mlflow
import numpy as np
import torch
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from models.network import SignaalModel
from training.progress import with_progress
from training.sampler import GROUPED_BATCHES

log = logging.getLogger(__name__)

TIMED_STEPS = 4
MAX_GRADIENT = 1.0


def device() -> torch.device:
    """Where to train and read."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.autocast:
    """bf16 on a GPU. On a CPU that lacks it, it is many times slower (measured), so there it is off."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=device().type == "cuda")


@dataclass(frozen=True, slots=True)
class Pace:
    """Learning rates and length of a training."""

    encoder_lr: float
    head_lr: float
    weight_decay: float
    warmup_share: float
    steps: int
    patience: int
    """epochs in a row without a better score, after which it stops; those of the first half do not count"""


@dataclass(frozen=True, slots=True)
class Best:
    """The epoch whose weights were kept, its score, and how long the whole took."""

    epoch: int
    score: float
    seconds: float
    curve: tuple[tuple[float, float], ...]
    """Mean loss and validation score of each epoch that was trained"""


class Loop:
    """Trains a network on texts that are named by their index.

    Args:
        model: changed in place.
        lengths: of the texts, in any unit.
        batch_size: texts a step.
        loss_of: the loss of some texts.
        generator: decides the order.
    """

    def __init__(
        self,
        model: SignaalModel,
        lengths: Sequence[int],
        batch_size: int,
        loss_of: Callable[[list[int]], Tensor],
        generator: torch.Generator,
    ) -> None:
        self._model = model
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._loss_of = loss_of
        self._generator = generator

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def seconds_per_epoch(self) -> float:
        """From a few batches of like length, short to long, by their share of the lengths, and as many steps of the optimiser;
        changes no weight and no order."""
        state = torch.get_rng_state()
        ordered = np.argsort(self._lengths, kind="stable").tolist()
        places = [int((k + 0.5) / TIMED_STEPS * len(ordered)) for k in range(TIMED_STEPS)]
        batches = [ordered[max(0, place - self._batch_size // 2) :][: self._batch_size] for place in places]
        trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0)

        def timed(rows: list[int]) -> tuple[float, float]:
            """Seconds of a step, forward and back, and of the optimiser."""
            began = time.monotonic()
            self._loss_of(rows).backward()  # type: ignore[no-untyped-call]
            back = time.monotonic()
            nn.utils.clip_grad_norm_(trained, MAX_GRADIENT)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return back - began, time.monotonic() - back

        timed(batches[0])  # warms up
        reading, stepping = np.sum([timed(rows) for rows in batches], axis=0).tolist()
        torch.set_rng_state(state)
        of_lengths = float(self._lengths.sum()) / float(sum(self._lengths[rows].sum() for rows in batches))
        return float(reading * of_lengths + stepping / len(batches) * self.steps_per_epoch)

    def train(self, pace: Pace, score: Callable[[], float]) -> Best:
        """Train; the network ends with the weights of the epoch with the best ``score``, in evaluation mode."""
        began = time.monotonic()
        best, best_epoch, since = -1.0, 0, 0
        kept: dict[str, Tensor] = {}
        curve: list[tuple[float, float]] = []
        for epoch, loss in self._epochs(pace):
            self._model.eval()
            reached = score()
            curve.append((loss, reached))
            log.info("epoch %d: loss %.4f, validation %.4f, %.0f s", epoch, loss, reached, time.monotonic() - began)
            if mlflow.active_run():
                mlflow.log_metrics({"train/loss": loss, "validation/score": reached}, step=epoch)
            first_half = 2 * epoch * self.steps_per_epoch <= pace.steps
            since = 0 if reached > best or first_half else since + 1
            if reached >= best:
                best, best_epoch = reached, epoch
                kept = {n: p.detach().cpu().clone() for n, p in self._model.named_parameters() if p.requires_grad}
            if since >= pace.patience:
                break
        self._model.load_state_dict(kept, strict=False)
        self._model.eval()
        return Best(best_epoch, best, time.monotonic() - began, tuple(curve))

    def _epochs(self, pace: Pace) -> Iterator[tuple[int, float]]:
        """Number and mean loss of each epoch, when it is done; the last may be a part of one."""
        groups: dict[str, list[nn.Parameter]] = {"encoder": [], "head": []}
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad:
                groups["encoder" if name.startswith("encoder.") else "head"].append(parameter)
        rates = {"encoder": pace.encoder_lr, "head": pace.head_lr}
        optimizer = torch.optim.AdamW(
            [{"params": groups[part], "lr": rates[part]} for part in groups], weight_decay=pace.weight_decay
        )
        schedule = get_cosine_schedule_with_warmup(optimizer, int(pace.warmup_share * pace.steps), pace.steps)
        done = epoch = 0
        while done < pace.steps:
            self._model.train()
            losses: list[float] = []
            batches = self._batches()[: pace.steps - done]
            for rows in with_progress(batches, f"Epoch {epoch + 1}"):
                loss = self._loss_of(rows)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_([*groups["encoder"], *groups["head"]], MAX_GRADIENT)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                losses.append(float(loss.detach()))
            done, epoch = done + len(batches), epoch + 1
            yield epoch, float(np.mean(losses))

    def _batches(self) -> list[list[int]]:
        """Every text once: batches of like length, in random order, the one that is not full last."""
        order = torch.randperm(len(self._lengths), generator=self._generator).tolist()
        stretch = self._batch_size * GROUPED_BATCHES
        near = [i for k in range(0, len(order), stretch) for i in sorted(order[k : k + stretch], key=lambda i: self._lengths[i])]
        batches = [near[k : k + self._batch_size] for k in range(0, len(near), self._batch_size)]
        full = len(near) // self._batch_size
        return [batches[i] for i in torch.randperm(full, generator=self._generator).tolist()] + batches[full:]
