"""A few examples of the corpus, for runs of a few steps."""

from pathlib import Path

from labeling.corpus_files import corpus_paths, read_corpus
from models.example import write_examples


def write_small_data(path: Path, *, texts: int, held_out: int = 16) -> Path:
    """So many training texts, and so many for validation and for testing, in all languages."""
    corpus = [item.example for item in read_corpus(corpus_paths())]
    some = []
    for split, count in (("train", texts), ("validation", held_out), ("test", held_out)):
        examples = [example for example in corpus if example.split == split]
        some += [examples[place * len(examples) // count] for place in range(count)]
    write_examples(some, path)
    return path
