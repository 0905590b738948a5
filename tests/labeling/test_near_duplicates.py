from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.corpus_files import corpus_paths, read_corpus
from labeling.near_duplicates import PERMUTATIONS, NearDuplicateIndex, groups, sketch_of
from tests.bench.near_duplicates import found_and_wrong, synthetic_ads

AD = "Looking for two people who can start on Monday at the packing hall, mornings only, bus stop at the gate."


def test_numbers_signs_case_and_accents_make_no_difference() -> None:
    assert sketch_of(AD) == sketch_of(AD.upper() + " 🌸 06-00000000 !!")
    assert sketch_of("Ménage à la ferme") == sketch_of("menage a la ferme")


def test_an_ad_joins_the_group_of_the_ad_it_is_like() -> None:
    ads = [("a", AD), ("b", "A room to let near the park, no pets."), ("c", AD.replace("two people", "three people"))]
    assert groups(ads) == {"a": "a", "b": "b", "c": "a"}


def test_planted_duplicates_are_found_and_others_are_not() -> None:
    ads = synthetic_ads(1_500)
    recall, precision = found_and_wrong(ads, groups((ad_id, text) for ad_id, _, text, _ in ads))
    assert recall > 0.97
    assert precision > 0.99


def test_texts_of_different_scenarios_of_the_corpus_are_in_different_groups() -> None:
    examples = [item.example for item in read_corpus(corpus_paths())][::4]
    scenario = {e.id: e.scenario for e in examples}
    found = groups((e.id, e.text) for e in examples)
    assert [ad for ad, group in found.items() if scenario[ad] != scenario[group]] == []


def test_an_index_that_was_put_back_from_sketches_goes_on_as_before() -> None:
    ads = [(ad_id, text) for ad_id, _, text, _ in synthetic_ads(400)]
    whole = groups(ads)
    index = NearDuplicateIndex()
    for ad_id, text in ads[:200]:
        index.restore(ad_id, sketch_of(text), whole[ad_id])
    assert {ad_id: index.add(ad_id, text) for ad_id, text in ads[200:]} == {ad_id: whole[ad_id] for ad_id, _ in ads[200:]}


def test_ten_thousand_copies_are_not_compared_with_one_another() -> None:
    index = NearDuplicateIndex()
    assert {index.add(str(i), f"{AD} {i}") for i in range(2_000)} == {"0"}
    assert len(index._indexed) == 1


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_a_sketch_and_is_its_own_duplicate(text: str) -> None:
    assert len(sketch_of(text)) == 4 * PERMUTATIONS
    assert groups([("a", text), ("b", text)]) == {"a": "a", "b": "a"}
