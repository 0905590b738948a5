from itertools import pairwise

from training.sampler import Draw, LikeLengthBatches

LENGTHS = [(index * 37) % 101 + 5 for index in range(403)]
ALONE = [""] * 403


def length_of(draw: Draw) -> int:
    return LENGTHS[draw.index]


def indices(sampler: LikeLengthBatches) -> list[int]:
    return [draw.index for draw in sampler]


def test_every_text_is_drawn_once() -> None:
    assert sorted(indices(LikeLengthBatches(length_of, ALONE, 8))) == list(range(403))


def test_a_text_is_drawn_as_often_as_its_source_says_each_time_as_another_copy() -> None:
    sampler = LikeLengthBatches(length_of, [f"pair-{i // 2}" for i in range(40)], 8, draws=[2] * 10 + [1] * 30)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 50
    assert {d for d in drawn if d.index < 10} == {Draw(index, 0, copy) for index in range(10) for copy in (0, 1)}
    assert all(d.copy == 0 for d in drawn if d.index >= 10)


def test_batches_hold_texts_of_like_length_in_an_order_that_is_not_sorted() -> None:
    drawn = indices(LikeLengthBatches(length_of, ALONE, 8, seed=3))
    batches = [[LENGTHS[i] for i in drawn[k : k + 8]] for k in range(0, 400, 8)]
    padding = sum(max(b) * len(b) - sum(b) for b in batches) / sum(map(sum, batches))
    assert padding < 0.12, "as they come it would be about 0.8"
    means = [sum(b) / len(b) for b in batches]
    rises = sum(a < b for a, b in pairwise(means))
    assert 0.3 < rises / len(means) < 0.7


def test_seed_and_epoch_decide_the_order() -> None:
    def draw(seed: int, epoch: int) -> list[int]:
        sampler = LikeLengthBatches(length_of, ALONE, 8, seed=seed)
        sampler.epoch = epoch
        return indices(sampler)

    assert draw(1, 0) == draw(1, 0)
    assert len({tuple(draw(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_texts_of_one_scenario_are_in_one_batch_or_in_neighbouring_ones() -> None:
    lengths = [100 + index % 50 + (index % 2) * 40 for index in range(800)]
    pairs = [f"pair-{index // 2}" for index in range(800)]
    drawn = indices(LikeLengthBatches(lambda draw: lengths[draw.index], pairs, 8, seed=5))
    batch_of = {index: place // 8 for place, index in enumerate(drawn)}
    together = sum(batch_of[index] == batch_of[index + 1] for index in range(0, 800, 2))
    assert together == 400, "eight holds four pairs, and lengths alone would have parted them"
    assert sorted(drawn) == list(range(800))
