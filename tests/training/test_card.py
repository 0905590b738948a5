"""A card is what its bundle's facts make of it, and nobody's prose."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from labeling.corpus_files import CORPUS_FOLDER
from models.bundle import RELEASED, Bundle, open_bundle, reads_blinded
from models.example import SPLITS, LabelledExample, write_examples
from models.taxonomy import packaged_taxonomy
from tests.conftest import SmallRun
from training.card import model_card
from training.data import load_data, load_sources
from training.provenance import ANCESTORS, AVERAGED, DIFFERS, RECALIBRATED, STARTED_FROM, How, how_trained, unseen
from training.settings import DataSource


def card_of_facts(bundle: Bundle, how: How | None = None, **not_in_the_bundle: Any) -> str:
    """The card from what a bundle holds; its data's counts and description and the graph's precision are in the card alone."""
    manifest = bundle.manifest
    how = how or how_trained(bundle)
    return model_card(
        taxonomy=bundle.taxonomy,
        facts={
            "model": asdict(bundle.identity),
            "data_digest": manifest.data_digest,
            "unseen": unseen(how, manifest.data_digest),
            "started_from": how.get(STARTED_FROM),
            "figures": bundle.metrics,
            "baselines": bundle.metrics["baselines"],
        },
        name=manifest.name,
        version=manifest.version,
        data_digest=manifest.data_digest,
        how=how,
        blinded=reads_blinded(manifest.format),
        git_commit=manifest.git_commit,
        **not_in_the_bundle,
    )


def test_a_run_writes_the_card_that_its_facts_give(small_run: SmallRun) -> None:
    bundle = small_run.result.bundle
    data = load_data(small_run.data, bundle.taxonomy)
    expected = card_of_facts(bundle, counts=data.counts, data_description=data.description, precision="fp32")
    assert bundle.card == expected


def test_the_released_card_is_what_its_facts_give() -> None:
    """All of it but three facts that only the card holds. Should the template's prose have changed since the release, this
    test shows the difference; then the release's card needs to be made anew, or the prose to wait for the next release."""
    bundle = open_bundle(RELEASED)
    found = re.search(
        r"Calibrated on the (\d+) validation texts and measured on the (\d+) test texts of the data with the digest `\w+`; the "
        r"baselines saw their (\d+) training texts\. About these data: (.*?)\n\n## Training",
        bundle.card,
        re.M | re.S,
    )
    precision = re.search(r"on the (\w+) graph that is served", bundle.card)
    assert found
    assert precision
    counts = {split: int(found[i]) for i, split in enumerate(("validation", "test", "train"), start=1)}
    expected = card_of_facts(bundle, counts=counts, data_description=found[4], precision=precision[1])
    assert bundle.card == expected


def test_a_card_says_on_how_many_texts_its_figures_rest() -> None:
    known = {"counts": {"train": 1, "validation": 2, "test": 3}, "data_description": "Authored.", "precision": "fp32"}
    bundle = open_bundle(RELEASED)
    figures = bundle.metrics
    elsewhere = sum(figures["languages"][language]["examples"] for language in ("it", "tr", "uk"))
    said = f"fp32 graph. They are {figures['examples']}, and {elsewhere} more in languages no training saw."
    assert said in card_of_facts(bundle, **known)
    figures["languages"] = {language: figures["languages"][language] for language in ("it", "tr", "uk")}
    assert f"They are {figures['examples']}, all in languages that training did not see." in card_of_facts(bundle, **known)


def test_a_card_says_nothing_twice(tmp_path: Path) -> None:
    """Two files with the same words beside them, as two exports of the corpus have."""
    description = (CORPUS_FOLDER / "DESCRIPTION.md").read_text(encoding="utf-8")
    sources = []
    for name, more in (
        ("old", ""),
        ("new", "\n\nThe other half was written in March, from scenarios that the first one lacks.\n"),
    ):
        file = tmp_path / f"{name}.jsonl"
        write_examples(
            [
                LabelledExample(text=f"{name} {split}", labels=[], lang="en", scenario=f"{name}-{split}", split=split)
                for split in SPLITS
            ],
            file,
        )
        file.with_suffix(".md").write_text(description + more, encoding="utf-8")
        sources.append(DataSource(path=file))
    data = load_sources(sources, packaged_taxonomy())
    card = card_of_facts(open_bundle(RELEASED), counts=data.counts, data_description=data.description, precision="fp32")
    prose = [line for line in card.splitlines() if len(line) > 40 and not line.startswith("|")]
    assert [line for line in prose if card.count(line) > 1] == []
    assert "for testing only: Italian" in card
    assert "written in March" in card


ELSEWHERE = {"file": "march.jsonl", "sha256": "eeee", "share": 0.5}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {RECALIBRATED: "signaal 1 (bundle 12)"},
            ["The weights are those of signaal 1 (bundle 12); what follows is how they were"],
        ),
        (
            {AVERAGED: ["signaal A (bundle 12)", "signaal B (bundle 34)"], DIFFERS: {"seed": [17, 23]}},
            ["the mean of those of signaal A (bundle 12) and signaal B (bundle 34), whose trainings differ in seed (17 and 23)"],
        ),
        (
            {AVERAGED: ["A", "B"], DIFFERS: {"data": [[ELSEWHERE], [ELSEWHERE, ELSEWHERE | {"share": 1.0}]]}},
            [
                "Trained on `march.jsonl` × 0.5 (SHA-256 `eeee`) or `march.jsonl` × 0.5 (SHA-256 `eeee`), `march.jsonl` (SHA-256",
                "(each of the averaged bundles on one of these). Calibrated on the 2 validation texts and measured on the 3",
                "the mean of those of A and B; what follows is true of each.",
            ],
        ),
        (
            {
                "loss": "asymmetric",
                "asymmetric_gamma_negative": 4.0,
                "asymmetric_gamma_positive": 0,
                "asymmetric_margin": 0.05,
                "label_smoothing": 0.1,
                "consistency_weight": 2.0,
            },
            [
                ", asymmetric label loss (gamma negative 4, gamma positive 0, margin 0.05), label smoothing 0.1, "
                "each text read twice (consistency loss, weight 2). "
            ],
        ),
        ({"data": None}, ["Trained on data that the bundle does not name. Calibrated on the 2 validation texts"]),
    ],
)
def test_a_card_tells_training_from_calibration(changes: dict[str, Any], said: list[str]) -> None:
    bundle = open_bundle(RELEASED)
    not_alone = (AVERAGED, DIFFERS, STARTED_FROM, ANCESTORS)
    alone = {name: value for name, value in how_trained(bundle).items() if name not in not_alone}
    known = {"counts": {"train": 1, "validation": 2, "test": 3}, "data_description": "Authored.", "precision": "fp32"}
    own = {"data": [{"file": "corpus.jsonl", "sha256": bundle.manifest.data_digest, "share": 1.0}]}
    card = card_of_facts(bundle, how={**alone, **own, **changes}, **known)
    for words in said:
        assert words in card
    elsewhere = "Trained on" in said[0]
    assert ("whether training saw some of their scenarios is not known here" in card) == elsewhere
    assert ("On test texts whose scenarios no training saw" in card) != elsewhere
    assert ("1 training, 2 validation and 3 test texts" in card) != elsewhere
