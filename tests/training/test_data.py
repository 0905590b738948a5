from pathlib import Path

import pytest

from models.example import LabelledExample, write_examples
from models.taxonomy import packaged_taxonomy
from training.data import check_test_split, load_data, load_sources
from training.errors import TrainingError
from training.settings import DataSource

TAXONOMY = packaged_taxonomy()


def example(**fields: object) -> LabelledExample:
    return LabelledExample(**{"text": "Pickers wanted.", "labels": [], "split": "train", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([example(split=None)], "has no split"),
        ([example(labels=["nope"])], "lacks: nope"),
        ([example(hard_negatives=["nope"])], "lacks: nope"),
        ([example(document_type="nope")], "unknown document type"),
        ([example(scenario="a"), example(scenario="a", split="test", text="Others.")], "scenario 'a' is in two splits"),
        ([example(scenario="a"), example(scenario="b", split="test")], "text is in two splits"),
        ([example()], "no example in the split validation and test"),
    ],
)
def test_data_that_cannot_be_used_is_refused(tmp_path: Path, examples: list[LabelledExample], message: str) -> None:
    write_examples(examples, tmp_path / "d.jsonl")
    with pytest.raises(TrainingError, match=message):
        load_data(tmp_path / "d.jsonl", TAXONOMY)


def test_the_digest_follows_the_content_and_the_description_stands_beside(tmp_path: Path) -> None:
    def loaded(name: str, text: str) -> tuple[str, str]:
        examples = [example(text=f"{text} {split}", split=split, lang="nl") for split in ("train", "validation", "test")]
        write_examples(examples, tmp_path / f"{name}.jsonl")
        data = load_data(tmp_path / f"{name}.jsonl", TAXONOMY)
        assert data.counts == {"train": 1, "validation": 1, "test": 1}
        assert data.languages == {"nl"}
        return data.digest, data.description

    (tmp_path / "b.md").write_text("Written by hand.\n")
    (a, nothing), (b, something), (c, _) = loaded("a", "one"), loaded("b", "one"), loaded("c", "two")
    assert a == b != c
    assert nothing.startswith("Nothing is written")
    assert something == "Written by hand."


def test_a_run_wants_a_test_text_with_an_indicator_in_a_language_that_training_sees(tmp_path: Path) -> None:
    def checked(*tested: str, label: str = "debt_or_fees") -> None:
        of_split = {"train": ("nl", ""), "validation": ("it",), "test": tested}
        places = [(split, lang) for split, languages in of_split.items() for lang in languages]
        examples = [example(text=f"{split} {lang}", split=split, lang=lang, labels=[label]) for split, lang in places]
        write_examples(examples, tmp_path / "d.jsonl")
        check_test_split(load_data(tmp_path / "d.jsonl", TAXONOMY), TAXONOMY)

    checked("it", "nl")
    with pytest.raises(TrainingError, match=r"d\.jsonl: no test text .* the split 'test' has 'NL', 'it', 'train' has '', 'nl'\."):
        checked("it", "NL")
    with pytest.raises(TrainingError, match="None of the 1 test texts that count has an indicator"):
        checked("it", "nl", label="states_limits")


def write(path: Path, split: str, scenarios: int, texts_each: int = 2) -> Path:
    several = [
        example(text=f"{path.stem} {split} {s}/{t}", split=split, scenario=f"{path.stem}-{split}-{s}")
        for s in range(scenarios)
        for t in range(texts_each)
    ]
    write_examples(several, path)
    return path


def test_shares_decide_how_often_whole_scenarios_of_a_file_are_drawn(tmp_path: Path) -> None:
    sources = [
        DataSource(path=write(tmp_path / "old.jsonl", "train", 40), share=0.25),
        DataSource(path=write(tmp_path / "new.jsonl", "train", 10), share=2.5),
        DataSource(path=write(tmp_path / "v.jsonl", "validation", 3), share=0.1),
        DataSource(path=write(tmp_path / "t.jsonl", "test", 4)),
    ]
    data = load_sources(sources, TAXONOMY, seed=1)
    assert data.counts == {"train": 20 + 20, "validation": 6, "test": 8}
    times = {(e.scenario, e.text): n for e, n in zip(data.splits["train"], data.draws, strict=True)}
    old = [scenario for scenario, _ in times if scenario.startswith("old")]
    assert len(old) == 2 * len(set(old)) == 20, "both texts of a scenario, or neither"
    assert sorted(n for (scenario, _), n in times.items() if scenario.startswith("new")) == [2] * 10 + [3] * 10
    again, other = load_sources(sources, TAXONOMY, seed=1), load_sources(sources, TAXONOMY, seed=2)
    assert again.splits == data.splits != other.splits
    assert len({data.digest, load_sources(sources[1:], TAXONOMY).digest}) == 2


def test_a_scenario_or_text_in_two_splits_is_found_across_files_even_when_a_share_leaves_it_out(tmp_path: Path) -> None:
    write(tmp_path / "v.jsonl", "validation", 3)
    write(tmp_path / "t.jsonl", "test", 1)
    for name, leak in (("scenario", example(scenario="t-test-0")), ("text", example(text="t test 0/1"))):
        write_examples([leak, *(example(text=f"fine {i}", scenario=f"s{i}") for i in range(50))], tmp_path / "more.jsonl")
        sources = [DataSource(path=tmp_path / f, share=0.02) for f in ("more.jsonl", "v.jsonl", "t.jsonl")]
        with pytest.raises(TrainingError, match=rf"t\.jsonl: example .*{name}.* in two splits \(train in .*more\.jsonl\)"):
            load_sources(sources, TAXONOMY)
