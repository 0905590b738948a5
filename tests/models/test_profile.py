"""The reference profile: what is counted, and that it survives being saved."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import PROFILE, open_bundle, seal
from models.errors import BundleError
from models.profile import BINS, OTHER, Profile, TextFacts, bin_of
from models.runtime import Scorer
from models.scores import AdScore, LabelScore, Language, Status
from models.windows import Window
from tests.conftest import SmallRun


def score(probability: float, language: str = "nl") -> AdScore:
    one = LabelScore(probability, Status.ABSENT)
    return AdScore(Language(language, 1.0, True), "other", 1.0, {"debt_or_fees": one}, {"states_limits": one})


@given(st.floats(0, 1))
def test_every_probability_has_one_bin(probability: float) -> None:
    assert 0 <= bin_of(probability) < BINS
    assert bin_of(probability) <= probability * BINS


def test_the_facts_of_a_text_are_counts() -> None:
    window = Window(0, [0, 3, 7, 3, 2], [-1] * 5, [-1] * 5)
    assert TextFacts.of("Bel 📞 nu ❤️!", [window, window], unknown_id=3) == TextFacts(12, 2, 10, 4)


def test_scores_are_counted_by_bin_and_languages_by_share() -> None:
    facts = [TextFacts(100, 1, 20, 2)] * 1000
    scores = [score(0.05)] * 600 + [score(0.95)] * 300 + [score(1.0, "en")] * 96 + [score(0.5, "sw")] * 4
    profile = Profile.from_scores(scores, facts)
    assert profile.texts == 1000
    assert profile.scores["debt_or_fees"] == profile.scores["states_limits"] == (600, 0, 0, 0, 0, 4, 0, 0, 0, 396)
    assert (profile.unknown_token_rate, profile.emoji_rate, profile.mean_characters) == (0.1, 0.01, 100)
    assert profile.languages == {"en": 0.096, "nl": 0.9, OTHER: 0.004}
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_without_texts_there_is_no_profile() -> None:
    with pytest.raises(ValueError, match="0 scores, 1 counts"):
        Profile.from_scores([], [TextFacts(1, 0, 3, 0)])


def test_a_run_leaves_the_profile_of_its_validation_split(small_run: SmallRun, scorer: Scorer) -> None:
    profile = small_run.result.bundle.profile
    assert profile is not None
    assert profile == scorer.profile
    validation = [line for line in small_run.data.read_text().splitlines() if json.loads(line)["split"] == "validation"]
    assert profile.texts == len(validation)
    assert set(profile.scores) == set(scorer.taxonomy.label_ids)
    assert all(sum(counts) == profile.texts for counts in profile.scores.values())
    assert sum(profile.languages.values()) == pytest.approx(1)
    assert profile.languages["nl"] > 0.02
    assert 0 <= profile.unknown_token_rate < 0.05


@pytest.fixture
def folder(small_run: SmallRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run.result.bundle.folder, tmp_path / "bundle"))


def reseal_with(folder: Path, profile: object) -> None:
    facts = json.loads((folder / "manifest.json").read_text())
    del facts["files"]
    (folder / PROFILE).write_text(json.dumps(profile))
    seal(folder, **facts)


def test_a_bundle_without_a_profile_is_as_good_as_before(folder: Path, small_run: SmallRun) -> None:
    facts = open_bundle(folder).manifest.model_dump(exclude={"files"})
    (folder / PROFILE).unlink()
    bundle = seal(folder, **facts)
    assert bundle.profile is None
    assert Scorer.of_bundle(bundle, small_run.settings).profile is None


@pytest.mark.parametrize("spoil", [{"scores": []}, {"scores": {"debt_or_fees": [1]}}, {"languages": {"nl": 1.0}}, {"texts": "?"}])
def test_a_profile_that_is_none_is_refused_by_name(folder: Path, spoil: dict[str, object]) -> None:
    reseal_with(folder, json.loads((folder / PROFILE).read_text()) | spoil)
    with pytest.raises(BundleError, match=r"profile\.json is not a profile"):
        _ = open_bundle(folder).profile


def test_a_profile_of_other_labels_is_refused(folder: Path, small_run: SmallRun) -> None:
    profile = json.loads((folder / PROFILE).read_text())
    del profile["scores"]["debt_or_fees"]
    reseal_with(folder, profile)
    with pytest.raises(BundleError, match=r"profile\.json lacks debt_or_fees"):
        Scorer.of_bundle(open_bundle(folder), small_run.settings)
