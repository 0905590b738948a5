from itertools import pairwise

import torch

from training.sampler import LikeLengthBatches

LENGTHS = [(index * 37) % 101 + 5 for index in range(403)]
ALONE = [""] * 403


def test_every_text_is_drawn_once() -> None:
    assert sorted(LikeLengthBatches(LENGTHS, ALONE, 8)) == list(range(403))


def test_batches_hold_texts_of_like_length_in_an_order_that_is_not_sorted() -> None:
    torch.manual_seed(3)
    drawn = list(LikeLengthBatches(LENGTHS, ALONE, 8))
    batches = [[LENGTHS[i] for i in drawn[k : k + 8]] for k in range(0, 400, 8)]
    padding = sum(max(b) * len(b) - sum(b) for b in batches) / sum(map(sum, batches))
    assert padding < 0.12, "as they come it would be about 0.8"
    means = [sum(b) / len(b) for b in batches]
    rises = sum(a < b for a, b in pairwise(means))
    assert 0.3 < rises / len(means) < 0.7


def test_the_seed_decides_the_order() -> None:
    def draw(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return list(LikeLengthBatches(LENGTHS, ALONE, 8))

    assert draw(1) == draw(1) != draw(2)


def test_texts_of_one_scenario_are_in_one_batch_or_in_neighbouring_ones() -> None:
    lengths = [100 + index % 50 + (index % 2) * 40 for index in range(800)]
    torch.manual_seed(5)
    drawn = list(LikeLengthBatches(lengths, [f"pair-{index // 2}" for index in range(800)], 8))
    batch_of = {index: place // 8 for place, index in enumerate(drawn)}
    together = sum(batch_of[index] == batch_of[index + 1] for index in range(0, 800, 2))
    assert together == 400, "eight holds four pairs, and lengths alone would have parted them"
    assert sorted(drawn) == list(range(800))
