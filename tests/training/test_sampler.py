from itertools import pairwise

import torch

from training.sampler import LikeLengthBatches

LENGTHS = [(index * 37) % 101 + 5 for index in range(403)]


def test_every_text_is_drawn_once() -> None:
    assert sorted(LikeLengthBatches(LENGTHS, 8)) == list(range(403))


def test_batches_hold_texts_of_like_length_in_an_order_that_is_not_sorted() -> None:
    torch.manual_seed(3)
    drawn = list(LikeLengthBatches(LENGTHS, 8))
    batches = [[LENGTHS[i] for i in drawn[k : k + 8]] for k in range(0, 400, 8)]
    padding = sum(max(b) * len(b) - sum(b) for b in batches) / sum(map(sum, batches))
    assert padding < 0.12, "as they come it would be about 0.8"
    means = [sum(b) / len(b) for b in batches]
    rises = sum(a < b for a, b in pairwise(means))
    assert 0.3 < rises / len(means) < 0.7


def test_the_seed_decides_the_order() -> None:
    def draw(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return list(LikeLengthBatches(LENGTHS, 8))

    assert draw(1) == draw(1) != draw(2)
