"""Clusters of ads of one kind, so that the queue can take from each of them.

Vectors are made of letter n-grams, hashed, weighted by rarity and reduced (latent semantic analysis, Deerwester 1990). Chosen
over the encoder's own vectors because those take as long as scoring (38 ads a second on two cores: 45 minutes for 100,000),
and over words because letter n-grams need no tokenizer and forgive spelling and inflection in any language. What is given up:
ads of like meaning in different languages are not near each other, so each language gets clusters of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize

from labeling.masking.folding import fold

DIMENSIONS = 48
FEATURES = 2**15
LEARNT_FROM = 5_000
"""Texts that the reduction is learnt from; more changes little and takes long."""
LONGEST = 600
"""Characters that are read of a text: what kind of ad it is shows early."""


def text_vectors(texts: Sequence[str], *, seed: int = 0) -> NDArray[np.float32]:
    """[texts, dimensions] vectors of length 1; the same texts and seed give the same vectors.

    There are ``DIMENSIONS`` of them, fewer where there are fewer texts.
    """
    if not texts:
        return np.zeros((0, DIMENSIONS), dtype=np.float32)
    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(4, 4), n_features=FEATURES, alternate_sign=False, lowercase=True, dtype=np.float32
    ).transform(fold(text[:LONGEST]).encode("utf-8", "replace").decode() for text in texts)
    drawn = np.random.default_rng(seed).permutation(len(texts))[:LEARNT_FROM]
    weighting = TfidfTransformer(sublinear_tf=True).fit(hashed[drawn])
    weighted = weighting.transform(hashed)
    dimensions = min(DIMENSIONS, len(texts))
    reduction = TruncatedSVD(dimensions, random_state=seed).fit(weighted[drawn])
    reduced: NDArray[np.float32] = normalize(reduction.transform(weighted)).astype(np.float32)
    return reduced


def clusters(vectors: NDArray[np.float32], count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """[texts] the number of each vector's cluster, by mini-batch k-means; fewer clusters where there are fewer vectors."""
    if len(vectors) == 0:
        return np.zeros(0, dtype=np.int64)
    means = MiniBatchKMeans(min(count, len(vectors)), batch_size=2048, n_init=1, random_state=seed)
    found: NDArray[np.int64] = means.fit_predict(vectors).astype(np.int64)
    return found


def clusters_by_language(texts: Sequence[str], languages: Sequence[str], count: int = 20, *, seed: int = 0) -> NDArray[np.int64]:
    """[texts] the number of each text's cluster, ``count`` of them in each language; no number is in two languages."""
    found = np.zeros(len(texts), dtype=np.int64)
    for number, language in enumerate(sorted(set(languages))):
        places = [place for place, code in enumerate(languages) if code == language]
        vectors = text_vectors([texts[place] for place in places], seed=seed)
        found[places] = number * count + clusters(vectors, count, seed=seed)
    return found
