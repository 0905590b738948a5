import numpy as np

from labeling.corpus_files import corpus_paths, read_corpus
from labeling.diversity import clusters, clusters_by_language, text_vectors


def test_texts_of_one_kind_are_near_each_other() -> None:
    farm = ["Asparagus pickers wanted, the bus leaves at six.", "Strawberry pickers wanted; bus at six every day."]
    flat = ["Two rooms to let near the park, no pets.", "A room to let near the old park, pets welcome."]
    vectors = text_vectors([*farm, *flat])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    near = vectors @ vectors.T
    assert min(near[0, 1], near[2, 3]) > near[:2, 2:].max()


def test_clusters_tell_document_types_apart_better_than_chance() -> None:
    """In Dutch alone: the share of the type that most of a cluster have, against types dealt out at random."""
    examples = [item.example for item in read_corpus([p for p in corpus_paths() if p.stem == "nl"])]
    found = clusters(text_vectors([e.text for e in examples]), 20)
    kinds = np.array([e.document_type for e in examples])

    def purity(of: np.ndarray) -> float:
        return sum(max(np.unique(of[found == c], return_counts=True)[1]) for c in set(found)) / len(of)

    assert purity(kinds) > purity(np.random.default_rng(0).permutation(kinds)) + 0.05


def test_the_same_texts_give_the_same_clusters_and_languages_share_none() -> None:
    texts = [f"tekst nummer {i} over de kas" for i in range(30)] + [f"текст номер {i} за оранжерия" for i in range(30)]
    languages = ["nl"] * 30 + ["bg"] * 30
    found = clusters_by_language(texts, languages, 5)
    assert np.array_equal(found, clusters_by_language(texts, languages, 5))
    assert not set(found[:30]) & set(found[30:])


def test_few_texts_and_none_are_no_trouble() -> None:
    assert clusters_by_language([], []).shape == (0,)
    assert clusters(text_vectors(["", "één"]), 20).shape == (2,)
    assert text_vectors(["", "👍👍👍👍👍", "\ud800 x"]).shape[0] == 3
