"""Near-duplicates, clusters and a plan of 100,000 ads: how long they take, and how many planted duplicates are found.

Run by ``python -m tests.bench.near_duplicates [ads]``; prints CPU seconds of one core, so that a busy machine tells the same.
"""

import re
import sys
from collections.abc import Iterator
from random import Random
from time import process_time

from labeling.corpus_files import corpus_paths, read_corpus
from labeling.diversity import clusters_by_language
from labeling.masking import mask_contacts
from labeling.near_duplicates import groups
from labeling.queue import Candidate, Mixing, plan

COPIES = 3


def synthetic_ads(count: int, seed: int = 0) -> list[tuple[str, str, str, str]]:
    """(id, language, text, id of the ad that it is a copy of, or its own) of ads put together from the corpus's sentences;
    one in ten comes back ``COPIES`` times with small changes."""
    rng = Random(seed)
    sentences: dict[str, list[str]] = {}
    for item in read_corpus(corpus_paths()):
        pieces = re.split(r"(?<=[.!?\n])\s+", item.example.text)
        sentences.setdefault(item.example.lang, []).extend(p for p in pieces if len(p) > 15)
    ads: list[tuple[str, str, str, str]] = []
    while len(ads) < count:
        language = rng.choice(sorted(sentences))
        original = " ".join(rng.sample(sentences[language], rng.randint(4, 9)))
        ad_id = f"ad-{len(ads)}"
        ads.append((ad_id, language, original, ad_id))
        if rng.random() < 0.1:
            for copy in _copies(original, rng):
                ads.append((f"ad-{len(ads)}", language, copy, ad_id))
    return ads[:count]


def _copies(text: str, rng: Random) -> Iterator[str]:
    """As ads come back: another number and emoji; in capitals without a sentence's end; some words exchanged."""
    yield re.sub(r"\d", lambda _: str(rng.randint(0, 9)), f"🌸 {text} 06-{rng.randint(0, 99):02}000000")
    yield text.upper().replace(".", "!!") + " ✨✨"
    words = text.split()
    for place in rng.sample(range(len(words)), max(len(words) // 25, 1)):
        words[place] = rng.choice(words)
    yield " ".join(words)


def found_and_wrong(ads: list[tuple[str, str, str, str]], group_of: dict[str, str]) -> tuple[float, float]:
    """Recall: planted copies that are in their original's group. Precision: ads in a group of another's that belong there."""
    original_of = {ad_id: original for ad_id, _, _, original in ads}
    copies = [ad_id for ad_id, original in original_of.items() if ad_id != original]
    recall = sum(group_of[ad_id] == group_of[original_of[ad_id]] for ad_id in copies) / len(copies)
    joined = [ad_id for ad_id, group in group_of.items() if group != ad_id]
    precision = sum(original_of[ad_id] == original_of[group_of[ad_id]] for ad_id in joined) / len(joined)
    return recall, precision


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    ads = synthetic_ads(count)
    print(f"{count} ads of {sum(len(text) for _, _, text, _ in ads) / count:.0f} characters on average")
    start = process_time()
    for _, _, text, _ in ads[:10_000]:
        mask_contacts(text)
    print(f"masking     {(process_time() - start) / min(count, 10_000) * 1e6:8.0f} µs an ad")
    start = process_time()
    group_of = groups((ad_id, text) for ad_id, _, text, _ in ads)
    recall, precision = found_and_wrong(ads, group_of)
    print(f"duplicates  {process_time() - start:8.1f} s, recall {recall:.4f}, precision {precision:.4f}")
    start = process_time()
    cluster_of = clusters_by_language([text for _, _, text, _ in ads], [language for _, language, _, _ in ads])
    print(f"clusters    {process_time() - start:8.1f} s, {len(set(cluster_of.tolist()))} of them")
    rng = Random(1)
    probabilities = [{f"label{i}": rng.random() ** 4 for i in range(17)} for _ in range(5_000)]
    candidates = [
        Candidate(ad_id, language, group_of[ad_id], rng.choice(probabilities), int(cluster))
        for (ad_id, language, _, _), cluster in zip(ads, cluster_of, strict=True)
    ]
    start = process_time()
    planned = plan(candidates, Mixing(), rng, limit=2_000)
    print(f"plan        {process_time() - start:8.1f} s for the first {len(planned)}")


if __name__ == "__main__":
    main()
