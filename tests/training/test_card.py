"""A card is what its bundle's facts make of it, and nobody's prose."""

import json
import re
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from models.base import DEFAULT_BASE
from models.bundle import RELEASED, Bundle, open_bundle, reads_blinded
from tests.conftest import SmallRun
from training.card import model_card
from training.data import load_data
from training.run import STARTED_FROM, TRAINING_FILE


def card_of_facts(bundle: Bundle, **not_in_the_bundle: Any) -> str:
    """The card from what a bundle holds; its data's counts and description and the graph's precision are in the card alone."""
    how = json.loads((bundle.folder / TRAINING_FILE).read_text(encoding="utf-8"))
    manifest = bundle.manifest
    return model_card(
        taxonomy=bundle.taxonomy,
        facts={
            "model": asdict(bundle.identity),
            "data_digest": manifest.data_digest,
            "figures": bundle.metrics,
            "baselines": bundle.metrics["baselines"],
        },
        name=manifest.name,
        version=manifest.version,
        data_digest=manifest.data_digest,
        base=f"{how['base']} (intfloat/multilingual-e5-small, 4-bit)" if how["base"] == DEFAULT_BASE else how["base"],
        settings=SimpleNamespace(**how),
        blinded=reads_blinded(manifest.format),
        started_from=how.get(STARTED_FROM),
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
        r"^(\d+) training, (\d+) validation and (\d+) test texts \(data digest `\w+`\)\. (.*?)\n\n## Training",
        bundle.card,
        re.M | re.S,
    )
    precision = re.search(r"on the (\w+) graph that is served", bundle.card)
    assert found
    assert precision
    counts = {split: int(found[i]) for i, split in enumerate(("train", "validation", "test"), start=1)}
    expected = card_of_facts(bundle, counts=counts, data_description=found[4], precision=precision[1])
    assert bundle.card == expected
