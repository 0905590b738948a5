from pathlib import Path

import pytest

from models.errors import TaxonomyError
from models.taxonomy import load_taxonomy, packaged_taxonomy


def test_the_packaged_taxonomy_has_the_labels_of_version_1() -> None:
    taxonomy = packaged_taxonomy()
    assert taxonomy.version == "1.0"
    assert len(taxonomy.indicators) == 12
    assert len(taxonomy.counter_indicators) == 5
    assert taxonomy.label_ids[0] == "third_party_control"
    assert taxonomy.label_ids[12] == "states_limits"
    assert taxonomy.document_type_ids == ("service_ad", "recruitment_post", "prevention_or_news", "spam_or_scam", "other")


def test_every_label_tells_a_reviewer_what_it_is_and_what_it_is_not() -> None:
    for label in packaged_taxonomy().indicators:
        assert len(label.definition) > 30
        assert label.cues
        assert label.hard_negatives


def test_no_protected_trait_is_a_label() -> None:
    for label in packaged_taxonomy().label_ids:
        assert not any(word in label for word in ("origin", "nationality", "ethnic", "gender", "migration"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version: [", "not valid YAML"),
        ("version: '1'", "indicators"),
        (
            "version: '1'\nindicators:\n"
            + 2 * "- {id: a, domain: both, name: A, definition: d, cues: [c], hard_negatives: []}\n",
            "used twice: a",
        ),
    ],
)
def test_a_broken_taxonomy_is_refused_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(content)
    with pytest.raises(TaxonomyError, match=message):
        load_taxonomy(path)
