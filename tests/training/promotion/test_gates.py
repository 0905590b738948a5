"""A gate is shut for a model that is worse in its way, and for it alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from models.settings import ModelSettings
from tests.conftest import SmallRun
from tests.training.promotion.conftest import BROKEN_LABEL, Workshop, tempered, with_label_broken
from training.checks.indicator_check import Pair
from training.comparison import Comparison, compare
from training.errors import TrainingError
from training.gates import PACKAGED_GATES, Gates, Verdict, judge, load_gates
from training.measurement import open_contender, read_test_texts
from training.resampling import Difference
from training.settings import DataSource

GATES = load_gates()
Compared = Callable[[Path | str], Comparison]


def shut(comparison: Comparison, gates: Gates = GATES) -> dict[str, list[str]]:
    """Gates that are shut, each with what it is shut for."""
    found: dict[str, list[str]] = {}
    for verdict in judge(comparison, gates):
        if verdict.refusal:
            found.setdefault(verdict.gate, []).append(verdict.what)
    found.pop("latency_ratio", None)  # a few texts on a busy machine; it has its own test
    return found


@pytest.fixture(scope="module")
def unchanged(workshop: Workshop, released_at: Compared) -> Comparison:
    return released_at(workshop.make("unchanged").folder)


def test_a_model_as_good_as_the_champion_passes(unchanged: Comparison) -> None:
    assert shut(unchanged) == {}
    assert unchanged.changed["changed"] == 0
    assert {name: d.difference for name, d in unchanged.figures.items() if d.difference} == {}


def test_a_model_that_lost_a_label_is_refused_for_that_label(workshop: Workshop, released_at: Compared) -> None:
    comparison = released_at(workshop.make("no-documents", change=with_label_broken).folder)
    closed = shut(comparison)
    assert closed["label_f1"] == [BROKEN_LABEL]
    assert "macro_f1" in closed
    (verdict,) = [v for v in judge(comparison, GATES) if v.what == BROKEN_LABEL]
    assert verdict.b == 0.0
    assert verdict.refusal
    assert verdict.refusal.startswith("worse by 0.")


def test_a_model_whose_probabilities_mean_nothing_is_refused_for_that_alone(workshop: Workshop, released_at: Compared) -> None:
    comparison = released_at(workshop.make("timid", change=partial(tempered, factor=0.3)).folder)
    assert comparison.changed["changed"] == 0, "every decision is as before"
    assert set(shut(comparison)) == {"calibration", "expected_calibration_error"}


def test_a_model_that_reads_nationality_is_refused_whatever_else_it_can(workshop: Workshop, released_at: Compared) -> None:
    """The network that ships, given the words of origin and gender that it was never shown."""
    comparison = released_at(workshop.make("unblinded", format=1).folder)
    assert comparison.figures["identity_flips"].b > 0.02  # type: ignore[operator]
    assert "identity_swap" in shut(comparison)


def test_a_slow_model_is_refused(small_run: SmallRun, model_settings: ModelSettings, data: Path, pairs: list[Pair]) -> None:
    """Twelve layers where the champion has two: better in nearly everything, and too slow."""
    a, b = (open_contender(str(name), model_settings, "fp32") for name in (small_run.result.bundle.folder, "released"))
    comparison = compare(a, b, read_test_texts([DataSource(path=data)], a.bundle.taxonomy), model_settings, pairs)
    (verdict,) = [v for v in judge(comparison, GATES) if v.gate == "latency_ratio"]
    assert verdict.refusal
    assert "times the champion's" in verdict.refusal
    assert "macro_f1" not in shut(comparison)


def figure(a: float, b: float, low: float, high: float, *, higher: bool = True) -> Difference:
    return Difference(a, b, b - a, (low, high), None, higher)


@pytest.mark.parametrize(
    ("found", "gate", "refused"),
    [
        (figure(0.80, 0.80, -0.02, 0.02), {"may_worsen_by": 0.03, "in_doubt": "refuse"}, False),
        (figure(0.80, 0.79, -0.05, 0.03), {"may_worsen_by": 0.03, "in_doubt": "refuse"}, True),
        (figure(0.80, 0.79, -0.05, 0.03), {"may_worsen_by": 0.03, "in_doubt": "pass"}, False),
        (figure(0.80, 0.70, -0.25, 0.05), {"may_worsen_by": 0.05, "in_doubt": "pass"}, False),
        (figure(0.80, 0.70, -0.18, -0.02), {"may_worsen_by": 0.05, "in_doubt": "pass"}, True),
        (figure(0.80, 0.77, -0.05, -0.01), {"may_worsen_by": 0.05, "in_doubt": "pass"}, False),
        (figure(0.05, 0.09, 0.01, 0.07, higher=False), {"may_worsen_by": 0.02, "in_doubt": "pass"}, True),
        (figure(0.09, 0.05, -0.07, -0.01, higher=False), {"may_worsen_by": 0.02, "in_doubt": "refuse"}, False),
        (figure(0.30, 0.11, -0.30, -0.10, higher=False), {"at_most": 0.10}, True),
        (figure(0.30, 0.11, -0.30, -0.10, higher=False), {"at_most": 0.10, "or_champion": True}, False),
        (figure(0.11, 0.11, 0.0, 0.0, higher=False), {"at_most": 0.10, "or_champion": True}, False),
        (figure(0.11, 0.12, -0.02, 0.04, higher=False), {"at_most": 0.10, "or_champion": True}, True),
        (figure(0.02, 0.05, 0.01, 0.05, higher=False), {"at_most": 0.10, "or_champion": True, "may_worsen_by": 0.02}, True),
        (Difference(None, 0.11, None, None, None, False), {"at_most": 0.10, "or_champion": True}, True),
        (Difference(0.20, None, None, None, None, False), {"at_most": 0.10, "or_champion": True}, True),
        (Difference(None, None, None, None, None, False), {"at_most": 0.10}, True),
        (Difference(None, None, None, None, None, False), {"may_worsen_by": 0.1, "in_doubt": "pass"}, True),
        (Difference(None, 0.5, None, None, None, False), {"may_worsen_by": 0.1, "in_doubt": "pass"}, False),
        (Difference(0.5, None, None, None, None, False), {"may_worsen_by": 0.1, "in_doubt": "pass"}, True),
    ],
)
def test_what_shuts_a_gate(unchanged: Comparison, found: Difference, gate: dict[str, object], refused: bool) -> None:
    switched_off = dict.fromkeys(Gates.model_fields)
    gates = Gates.model_validate(switched_off | {"false_alerts": gate})
    comparison = replace(unchanged, figures={**unchanged.figures, "false_alert_share": found})
    (verdict,) = judge(comparison, gates)
    assert bool(verdict.refusal) == refused


@pytest.mark.parametrize(
    ("a", "b", "passed_by", "refusal"),
    [
        (0.131, 0.12, "0.120 is more than 0.1, but not worse than the champion's 0.131", None),
        (0.131, 0.08, "0.080 is at most 0.1", None),
        (0.08, 0.12, "", "0.120 is more than 0.1, and the champion's is 0.080"),
    ],
)
def test_the_limit_or_the_champion_lets_a_figure_pass_and_it_is_said_which(
    unchanged: Comparison, a: float, b: float, passed_by: str, refusal: str | None
) -> None:
    gates = Gates.model_validate(dict.fromkeys(Gates.model_fields) | {"false_alerts": {"at_most": 0.1, "or_champion": True}})
    found = figure(a, b, b - a - 0.01, b - a + 0.01, higher=False)
    (verdict,) = judge(replace(unchanged, figures={**unchanged.figures, "false_alert_share": found}), gates)
    assert (verdict.passed_by, verdict.refusal) == (passed_by, refusal)
    assert verdict.limit == "at most 0.1 or the champion"


def test_what_no_test_text_shows_is_not_taken_on_trust(unchanged: Comparison) -> None:
    nothing = Difference(None, None, None, None, None, True)
    without = {language: d for language, d in unchanged.language_f1.items() if language != "bg"}
    comparison = replace(unchanged, language_f1=without, label_f1={**unchanged.label_f1, "debt_or_fees": nothing})
    assert shut(comparison) == {"label_f1": ["debt_or_fees"], "language_f1": ["bg"]}


def measured_on_dutch_alone(folder: Path) -> None:
    """As ``signaal-train recalibrate`` on Dutch texts leaves it."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["languages"] = {"nl": metrics["languages"]["nl"]}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def without_its_training(folder: Path) -> None:
    measured_on_dutch_alone(folder)
    (folder / "training.json").unlink()


def test_a_champion_that_was_recalibrated_on_one_language_is_asked_about_all_that_it_was_trained_on(
    unchanged: Comparison, workshop: Workshop
) -> None:
    champion = replace(unchanged.a, bundle=workshop.make("recalibrated-on-dutch", edit=measured_on_dutch_alone))
    assert champion.trained_languages == {"bg", "de", "en", "es", "fr", "hu", "nl", "pl", "pt", "ro"}
    dutch_texts = {"nl": unchanged.language_f1["nl"]}
    closed = shut(replace(unchanged, a=champion, language_f1=dutch_texts))
    assert closed == {"language_f1": sorted(champion.trained_languages - {"nl"})}


def test_of_a_champion_that_does_not_say_how_it_was_trained_the_figures_count(unchanged: Comparison, workshop: Workshop) -> None:
    champion = replace(unchanged.a, bundle=workshop.make("does-not-say", edit=without_its_training))
    assert champion.trained_languages == {"nl"}


def test_every_gate_is_in_the_file_with_a_comment_and_judges_something(unchanged: Comparison) -> None:
    text = PACKAGED_GATES.read_text()
    for name in Gates.model_fields:
        line = text.index(f"\n{name}:")
        before = text[:line].rpartition("\n")[2]
        assert before.startswith("#") or name == "expected_calibration_error", name
    judged: list[Verdict] = judge(unchanged, GATES)
    assert {verdict.gate for verdict in judged} == set(Gates.model_fields)
    assert len([v for v in judged if v.gate == "label_f1"]) == 17
    assert {v.what for v in judged if v.gate == "language_f1"} >= {"nl", "bg", "uk"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("macro_f1:", "makro_f1:"), "macro_f1: Field required"),
        (("in_doubt: refuse", "in_doubt: perhaps"), "macro_f1.in_doubt"),
        (("{may_worsen_by: 0.03, in_doubt: refuse}", "{}"), "needs may_worsen_by or at_most"),
        (("in_doubt: refuse}", "or_champion: true}"), "macro_f1: Value error, or_champion needs at_most"),
        (("{may_worsen_by: 0.03, in_doubt: refuse}", "{may_worsen_by: 0.03"), "is not valid YAML"),
    ],
)
def test_a_gates_file_with_a_mistake_is_not_taken(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(PACKAGED_GATES.read_text().replace(*change, 1))
    with pytest.raises(TrainingError, match=message):
        load_gates(path)
    with pytest.raises(TrainingError, match="Cannot read the gates"):
        load_gates(tmp_path / "none.yaml")
