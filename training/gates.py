"""Gates: what a model must show, beside the champion, before it may follow it. The limits are data (``gates.yaml``)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.comparison import Comparison
from training.errors import TrainingError
from training.resampling import Difference

PACKAGED_GATES = Path(__file__).with_suffix(".yaml")


class Gate(BaseModel):
    """The limits of one gate; at least one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    may_worsen_by: float | None = Field(default=None, ge=0, description="How much worse than the champion's a figure may be.")
    in_doubt: Literal["refuse", "pass"] = Field(
        default="refuse",
        description="refuse: the whole 95% interval must lie within may_worsen_by. pass: refused only when the estimate is "
        "beyond it and the whole interval is on the wrong side of zero.",
    )
    at_most: float | None = Field(default=None, ge=0, description="The most that the figure itself may be.")
    or_champion: bool = Field(
        default=False, description="Above at_most, a figure passes all the same if it is not worse than the champion's."
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Gate":
        if self.may_worsen_by is None and self.at_most is None:
            raise ValueError("a gate needs may_worsen_by or at_most; to switch it off, set it to null")
        if self.or_champion and self.at_most is None:
            raise ValueError("or_champion needs at_most: it is the other way to pass that limit")
        return self


class RatioGate(BaseModel):
    """A gate on a ratio to the champion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_most: float = Field(gt=0, description="The most that the ratio may be.")


class Gates(BaseModel):
    """All gates; None switches one off. A file must name every one, so that none is switched off by being forgotten."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    macro_f1: Gate | None = Field(description="Macro-F1 over the indicators.")
    label_f1: Gate | None = Field(description="F1 of each label.")
    language_f1: Gate | None = Field(description="Macro-F1 in each language.")
    false_alerts: Gate | None = Field(description="Share of indicator-free texts in which an indicator is present.")
    uncertain: Gate | None = Field(description="Share of decisions that are uncertain.")
    identity_swap: Gate | None = Field(description="Share of test texts whose indicators move with identity words.")
    identity_pairs: Gate | None = Field(description="Failure rate of IndicatorCheck's identity pairs.")
    obfuscation: Gate | None = Field(description="Recall lost when words are disguised.")
    indicator_check: Gate | None = Field(description="Failure rate of each other capability of IndicatorCheck.")
    calibration: Gate | None = Field(description="Average calibration error.")
    expected_calibration_error: Gate | None = Field(description="Expected calibration error, mean over the indicators.")
    evidence: Gate | None = Field(description="Token-F1 of the evidence.")
    latency_ratio: RatioGate | None = Field(description="Time of one text, as a multiple of the champion's.")


def load_gates(path: Path = PACKAGED_GATES) -> Gates:
    """Read a gates file.

    Raises:
        TrainingError: it is missing, is not YAML, or breaks the schema; the message names the gate.
    """
    try:
        return Gates.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TrainingError(f"Cannot read the gates {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise TrainingError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TrainingError(
            f"{path}: {where}: {first['msg']}. Every gate must be there (null: not looked at); {PACKAGED_GATES} has them all."
        ) from error


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of one figure."""

    gate: str
    what: str
    """The label, language or capability; empty where the gate has one figure."""
    a: float | None
    b: float | None
    difference: float | None
    interval: tuple[float, float] | None
    limit: str
    refusal: str | None
    """Why the gate is shut; None when it is open."""
    passed_by: str = ""
    """Which of two let it pass, where at_most or the champion's figure could; empty elsewhere, and when the gate is shut."""


Figures = Callable[[Comparison], dict[str, Difference]]


def _one(name: str) -> Figures:
    return lambda comparison: {"": comparison.figures[name]}


def _of_languages(comparison: Comparison) -> dict[str, Difference]:
    """Macro-F1 of every language that the champion was trained on, whether or not there are test texts in it, and of others."""
    nothing = Difference(None, None, None, None, None, True)
    known = {language: d for language, d in comparison.language_f1.items() if d.b is not None}
    return {lang: known.get(lang, nothing) for lang in sorted({*known, *comparison.a.trained_languages})}


_FIGURES: dict[str, Figures] = {
    "macro_f1": _one("macro_f1"),
    "label_f1": lambda c: c.label_f1,
    "language_f1": _of_languages,
    "false_alerts": _one("false_alert_share"),
    "uncertain": _one("uncertain_share"),
    "identity_swap": _one("identity_flips"),
    "identity_pairs": lambda c: {"": c.indicator_check["identity"]},
    "obfuscation": _one("obfuscation_recall_loss"),
    # An obfuscation pair counts where its plain text was recognised: of models that recognise none there is nothing to say.
    "indicator_check": lambda c: {n: d for n, d in c.indicator_check.items() if n != "identity" and (d.a, d.b) != (None, None)},
    "calibration": _one("average_calibration_error"),
    "expected_calibration_error": _one("expected_calibration_error"),
    "evidence": _one("evidence_token_f1"),
}


def judge(comparison: Comparison, gates: Gates) -> list[Verdict]:
    """What every gate says of ``comparison.b`` as the successor of ``comparison.a``, in the order of the file."""
    verdicts: list[Verdict] = []
    for name in Gates.model_fields:
        gate = getattr(gates, name)
        if isinstance(gate, Gate):
            verdicts += [_judged(name, what, found, gate) for what, found in _FIGURES[name](comparison).items()]
        elif isinstance(gate, RatioGate):
            verdicts.append(_judged_ratio(name, comparison, gate))
    return verdicts


def _judged(name: str, what: str, found: Difference, gate: Gate) -> Verdict:
    refusals, passed_by = [], ""
    if found.b is None:
        refusals.append("the test texts do not give this figure")
    elif gate.at_most is not None and found.b <= gate.at_most:
        passed_by = f"{found.b:.3f} is at most {gate.at_most:g}" if gate.or_champion else ""
    elif gate.at_most is not None:
        above = f"{found.b:.3f} is more than {gate.at_most:g}"
        if gate.or_champion and _no_worse(found):
            passed_by = f"{above}, but not worse than the champion's {found.a:.3f}"
        else:
            refusals.append(f"{above}, and the champion's is {_told(found.a)}" if gate.or_champion else above)
    if gate.may_worsen_by is not None:
        refusals += _worse(found, gate.may_worsen_by, gate.in_doubt)
    limits = [
        *([f"worse by at most {gate.may_worsen_by:g} ({gate.in_doubt} in doubt)"] if gate.may_worsen_by is not None else []),
        *([f"at most {gate.at_most:g}{' or the champion' if gate.or_champion else ''}"] if gate.at_most is not None else []),
    ]
    refusal = "; ".join(refusals) or None
    limit = ", ".join(limits)
    return Verdict(name, what, found.a, found.b, found.difference, found.interval, limit, refusal, "" if refusal else passed_by)


def _told(champion: float | None) -> str:
    return "not known" if champion is None else f"{champion:.3f}"


def _no_worse(found: Difference) -> bool:
    if found.a is None or found.b is None:
        return False
    return found.b >= found.a if found.higher_is_better else found.b <= found.a


def _worse(found: Difference, at_most: float, in_doubt: str) -> list[str]:
    if found.difference is None or found.interval is None:
        return []
    sign = -1.0 if found.higher_is_better else 1.0
    worse = sign * found.difference
    least, most = sorted(sign * end for end in found.interval)
    if in_doubt == "refuse" and most > at_most:
        if worse > at_most:
            return [f"worse by {worse:.3f}"]
        return [f"not shown: the interval reaches to worse by {most:.3f} (more test texts would narrow it)"]
    if in_doubt == "pass" and worse > at_most and least > 0:
        return [f"worse by {worse:.3f}, at least {least:.3f}"]
    return []


def _judged_ratio(name: str, comparison: Comparison, gate: RatioGate) -> Verdict:
    speed = comparison.speed
    slow = speed.latency_ratio > gate.at_most
    return Verdict(
        name,
        "",
        1.0,
        speed.latency_ratio,
        None,
        None,
        f"at most {gate.at_most:g}",
        f"one text takes {speed.b_milliseconds_alone:.0f} ms, {speed.latency_ratio:.2f} times the champion's" if slow else None,
    )
