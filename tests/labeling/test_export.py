import hashlib
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.annotation import Annotation
from labeling.consensus import Consensus, consensus
from labeling.errors import ExportError
from labeling.export import EXAMPLES, FinalExample, export_folder, final_example, read_export, write_export
from models.example import Span, read_examples
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from training.data import load_data
from training.dataset import rows_of

TAXONOMY = packaged_taxonomy()
TEXT = "You pay back the bus first 🚌, she says."
ABSENT = dict.fromkeys(TAXONOMY.label_ids, False)


def opinion(annotator: str, *present: str, ad_id: str = "ad-1", document_type: str = "recruitment_post") -> Annotation:
    spans = tuple(Span(start=4, end=16, label=label) for label in present)
    labels = {**ABSENT, **dict.fromkeys(present, True)}
    return Annotation(ad_id=ad_id, annotator=annotator, labels=labels, spans=spans, document_type=document_type)


def example(agreed: Consensus, adjudication: Annotation | None = None, group: str | None = "ad-1") -> FinalExample:
    text = TEXT if group is None else f"{TEXT} ({group})"
    return final_example(agreed, adjudication, text=text, language="en", group=group, taxonomy=TAXONOMY, source="crawl")


def examples(count: int) -> list[FinalExample]:
    return [example(consensus([opinion("1", "debt_or_fees", ad_id=f"ad-{i}")]), group=f"ad-{i}") for i in range(count)]


def test_what_all_agree_on_is_the_example() -> None:
    final = example(consensus([opinion("1", "debt_or_fees"), opinion("2", "debt_or_fees")]))
    assert final.labels == ["debt_or_fees"]
    assert final.spans == [Span(start=4, end=16, label="debt_or_fees")]
    assert final.hard_negatives == []
    assert final.document_type == "recruitment_post"
    assert final.shares is None, "there is nothing on which they differ"
    assert final.provenance.annotators == ("1", "2")


def test_the_adjudicator_decides_and_what_looked_like_a_label_is_a_hard_negative() -> None:
    agreed = consensus([opinion("1", "debt_or_fees"), opinion("2", "third_party_control")])
    decided = opinion("9", "debt_or_fees").model_copy(update={"saved_at": datetime(2026, 11, 29, tzinfo=UTC)})
    final = example(agreed, decided)
    assert final.labels == ["debt_or_fees"]
    assert final.hard_negatives == ["third_party_control"]
    assert final.shares == {"debt_or_fees": 0.75, "third_party_control": 0.25}
    assert final.provenance.adjudicator == "9"


def test_where_the_adjudicator_overrules_all_the_target_is_in_the_middle() -> None:
    final = example(consensus([opinion("1"), opinion("2")]), opinion("9", "debt_or_fees"))
    assert (final.labels, final.shares) == (["debt_or_fees"], {"debt_or_fees": 0.5})


def test_training_aims_at_the_shares_of_an_export(tmp_path: Path, base_folder: Path) -> None:
    said = {"1": "debt_or_fees", "2": "debt_or_fees", "3": "third_party_control"}
    two_of_three = consensus([opinion(who, label, ad_id="shared") for who, label in said.items()])
    shared = example(two_of_three, opinion("9", "debt_or_fees"), group="shared")
    manifest = write_export([shared, *examples(60)], tmp_path, taxonomy=TAXONOMY)
    data = load_data(export_folder(tmp_path, manifest.digest) / EXAMPLES, TAXONOMY)
    read = {one.id: one for split in data.splits.values() for one in split}
    maker = WindowMaker(base_folder / "tokenizer.json")
    targets, agreed = (rows_of([read[ad_id]], TAXONOMY, maker)[0]["labels"] for ad_id in ("shared", "ad-2"))
    of = dict(zip(TAXONOMY.label_ids, targets, strict=True))
    assert (of.pop("debt_or_fees"), of.pop("third_party_control")) == (0.8333, 0.1667)
    assert set(of.values()) == {0.0}
    assert set(agreed) == {0.0, 1.0}


def test_what_is_not_settled_is_not_exported() -> None:
    with pytest.raises(ExportError, match="ad-1 is not settled"):
        example(consensus([opinion("1", "debt_or_fees"), opinion("2")]))
    undecided = opinion("9").model_copy(update={"cannot_decide": "context"})
    with pytest.raises(ExportError, match="could not be decided"):
        example(consensus([opinion("1", "debt_or_fees"), opinion("2")]), undecided)


def test_a_label_that_nobody_judged_is_not_passed_off_as_absent() -> None:
    labels = {label: False for label in ABSENT if label != "minor_age_cue"}
    with pytest.raises(ExportError, match="nobody judged minor_age_cue"):
        example(consensus([Annotation(ad_id="ad-1", annotator="1", labels=labels)]))


def test_training_reads_an_export_and_knows_it_by_the_same_digest(tmp_path: Path) -> None:
    manifest = write_export(examples(60), tmp_path, taxonomy=TAXONOMY)
    place = export_folder(tmp_path, manifest.digest)
    data = load_data(place / EXAMPLES, TAXONOMY)
    assert data.digest == manifest.digest == hashlib.sha256((place / EXAMPLES).read_bytes()).hexdigest()
    assert data.counts == manifest.splits
    assert "taxonomy 1.0" in data.description
    assert next(iter(read_examples(place / EXAMPLES))).labels == ["debt_or_fees"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_same_labels_have_the_same_digest_in_any_order(tmp_path: Path, seed: int) -> None:
    shuffled = examples(12)
    Random(seed).shuffle(shuffled)
    assert write_export(shuffled, tmp_path, taxonomy=TAXONOMY) == write_export(examples(12), tmp_path, taxonomy=TAXONOMY)
    assert len(list(tmp_path.iterdir())) == 1


def test_another_label_is_another_export(tmp_path: Path) -> None:
    one = write_export(examples(2), tmp_path, taxonomy=TAXONOMY)
    other = [*examples(1), example(consensus([opinion("1", ad_id="ad-1")]))]
    assert write_export(other, tmp_path, taxonomy=TAXONOMY).digest != one.digest


def test_the_same_text_twice_is_in_one_split_even_before_it_was_grouped() -> None:
    twice = [example(consensus([opinion("1", ad_id=ad_id)]), group=None) for ad_id in ("ad-1", "ad-2")]
    assert twice[0].scenario == twice[1].scenario


def test_near_duplicates_share_a_split() -> None:
    splits = {example(consensus([opinion("1", ad_id=f"ad-{i}")]), group="ad-0").split for i in range(30)}
    assert len(splits) == 1
    assert {e.split for e in examples(60)} == {"train", "validation", "test"}


def test_an_export_that_was_changed_is_refused(tmp_path: Path) -> None:
    place = export_folder(tmp_path, write_export(examples(2), tmp_path, taxonomy=TAXONOMY).digest)
    assert oct((place / EXAMPLES).stat().st_mode)[-3:] == "400"
    (place / EXAMPLES).chmod(0o600)
    (place / EXAMPLES).write_text("{}\n", encoding="utf-8")
    with pytest.raises(ExportError, match="was changed after it was exported"):
        read_export(place)
    with pytest.raises(ExportError, match="was changed after it was exported"):
        write_export(examples(2), tmp_path, taxonomy=TAXONOMY)


def test_nothing_and_twice_the_same_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing to export"):
        write_export([], tmp_path, taxonomy=TAXONOMY)
    with pytest.raises(ExportError, match="Two examples have the id ad-0"):
        write_export([*examples(1), *examples(1)], tmp_path, taxonomy=TAXONOMY)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ExportError, match="cannot be written"):
        write_export(examples(1), tmp_path / "file", taxonomy=TAXONOMY)
