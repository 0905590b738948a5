"""Plots of a search."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import optuna
from optuna.trial import TrialState


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """Optuna's plots as PNG: the way to the best, the curves of the trials, score against each setting, and (from four
    complete trials on) how much each setting mattered."""
    shown = optuna.visualization.matplotlib
    plots: dict[str, Callable[[optuna.Study], Any]] = {
        "history": shown.plot_optimization_history,
        "curves": shown.plot_intermediate_values,
        "settings": shown.plot_slice,
    }
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) >= 4:
        plots["importance"] = shown.plot_param_importances
    paths: list[Path] = []
    for name, plot in plots.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            plot(study)
        paths.append(folder / f"{name}.png")
        plt.gcf().savefig(paths[-1], dpi=110, bbox_inches="tight")
        plt.close("all")
    return paths
