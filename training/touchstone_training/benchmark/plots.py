"""Plots of the model card: ROC, DET, Tippett, calibration, kinds and severities.

Drawn as SVG with text as text, so that they are small, sharp and the same for the same
numbers.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from touchstone_training.benchmark.observations import Observation
from touchstone_training.benchmark.peers import OURS, scores_of
from touchstone_training.benchmark.report import Document, systems_of
from touchstone_training.benchmark.scores import (
    Array,
    Mask,
    area,
    curve,
    estimate,
    reliability,
    resamples,
)

LABELS = {
    OURS: "Touchstone",
    "embedding_cosine": "embedding cosine",
    "sift_ssim": "SIFT + homography + SSIM",
    "patchcore": "PatchCore, our backbone",
}
_COLOURS = {
    OURS: "#0b6e4f",
    "embedding_cosine": "#c8553d",
    "sift_ssim": "#588bc4",
    "patchcore": "#b08900",
}
_INK = "#333333"
_GENUINE, _FAKE = "#0b6e4f", "#c8553d"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "touchstone",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "path.simplify_threshold": 0.5,
}
_SEVERITY_BINS = 6


def draw_plots(
    folder: Path,
    observations: Sequence[Observation],
    ratios: Array,
    report: Document,
    *,
    draws: int,
) -> list[Path]:
    """Write every plot, and return their paths.

    Args:
        folder: where they go.
        observations: (n,) simulated photos that were examined, genuine and forged.
        ratios: (n,) log10 likelihood ratios as reported.
        report: what `counterfeit_document` made of the same observations.
        draws: resamples of the bootstrap of the severity curve.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_fake = np.array([one.is_fake for one in observations], bool)
    if is_fake.all() or not is_fake.any():
        return []
    plots: dict[str, Callable[[], Figure]] = {
        "roc": lambda: roc(observations, is_fake),
        "det": lambda: det(observations, is_fake),
        "tippett": lambda: tippett(ratios, is_fake),
        "calibration": lambda: calibration(ratios, is_fake),
        "kinds": lambda: kinds(report),
        "severity": lambda: severity(observations, is_fake, draws=draws),
    }
    paths = []
    with mpl.rc_context(_STYLE):
        for name, draw in plots.items():
            path = folder / f"{name}.svg"
            # Neither the date nor the version of the library: the same numbers give
            # the same file.
            draw().savefig(path, metadata={"Date": None, "Creator": None})
            paths.append(path)
    return paths


def _figure(
    title: str, x: str, y: str, *, width: float = 4.6, height: float = 4.2
) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _scored(
    observations: Sequence[Observation], is_fake: Mask
) -> list[tuple[str, Array, Mask]]:
    found = []
    for name in systems_of(observations):
        scores = scores_of(observations, name)
        known = np.isfinite(scores)
        if is_fake[known].any() and not is_fake[known].all():
            found.append((name, scores[known], is_fake[known]))
    return found


def roc(observations: Sequence[Observation], is_fake: Mask) -> Figure:
    """Draw counterfeits found against false alarms, for each system."""
    figure, axes = _figure(
        "ROC: simulated counterfeits, examined photos",
        "genuine photos flagged",
        "counterfeits flagged",
    )
    for name, scores, fake in _scored(observations, is_fake):
        one = curve(scores, fake)
        label = f"{LABELS[name]}  {area(scores, fake):.3f}"
        axes.step(
            one.false_alarms,
            one.found,
            where="post",
            color=_COLOURS[name],
            lw=2 if name == OURS else 1.3,
            label=label,
        )
    axes.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    axes.legend(loc="lower right", title="area under the curve", fontsize=8)
    return figure


_TICKS = (0.002, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


def det(observations: Sequence[Observation], is_fake: Mask) -> Figure:
    """Draw missed against false alarms, both as normal deviates."""
    figure, axes = _figure(
        "DET: the same, errors as normal deviates",
        "genuine photos flagged",
        "counterfeits missed",
    )
    for name, scores, fake in _scored(observations, is_fake):
        one = curve(scores, fake)
        axes.plot(
            _deviates(one.false_alarms),
            _deviates(one.missed),
            color=_COLOURS[name],
            lw=2 if name == OURS else 1.3,
            label=LABELS[name],
        )
    places = _deviates(np.array(_TICKS))
    told = [f"{100 * tick:g} %" for tick in _TICKS]
    axes.set_xticks(places, told)
    axes.set_yticks(places, told)
    ends = (places[0], places[-1])
    axes.set(xlim=ends, ylim=ends)
    axes.plot(ends, ends, color="#999999", lw=0.8, ls=":")
    axes.tick_params(labelsize=8)
    axes.legend(loc="lower left", fontsize=8)
    return figure


def _deviates(shares: Array) -> Array:
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(max(s, 1e-4), 1 - 1e-4)) for s in shares])


def tippett(ratios: Array, is_fake: Mask) -> Figure:
    """Draw how many of either side exceed each likelihood ratio."""
    figure, axes = _figure(
        "Tippett: how strong the reported evidence is",
        "log10 likelihood ratio (right: made as the reference)",
        "share of photos at or above",
    )
    for own, colour, label in (
        (ratios[~is_fake], _GENUINE, "genuine prints"),
        (ratios[is_fake], _FAKE, "counterfeits"),
    ):
        ranked = np.append(np.sort(own), own.max())
        shares = 1 - np.arange(len(ranked)) / len(own)
        axes.step(ranked, shares, where="pre", color=colour, lw=1.8, label=label)
    axes.axvline(0, color="#999999", lw=0.8, ls=":")
    axes.set_ylim(0, 1.005)
    wrong = (ratios[~is_fake] < 0).mean(), (ratios[is_fake] > 0).mean()
    axes.legend(
        loc="lower left",
        fontsize=8,
        title=f"misleading: {wrong[0]:.1%} of genuine,\n{wrong[1]:.1%} of counterfeits",
        title_fontsize=8,
    )
    return figure


def calibration(ratios: Array, is_fake: Mask) -> Figure:
    """Draw told probabilities of a counterfeit against how often it was one."""
    figure, axes = _figure(
        "Calibration, at equal prior odds",
        "told probability of another process",
        "observed share of counterfeits",
    )
    bins = reliability(ratios, is_fake)
    told = [one.told for one in bins]
    seen = [one.observed for one in bins]
    bars = [
        [one.observed - one.low for one in bins],
        [one.high - one.observed for one in bins],
    ]
    axes.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls=":")
    axes.errorbar(
        told, seen, yerr=np.maximum(bars, 0), fmt="o-", color=_COLOURS[OURS], capsize=2
    )
    for one in bins:
        axes.annotate(
            f"{one.photos}",
            (one.told, one.observed),
            xytext=(6, -11),
            textcoords="offset points",
            fontsize=7,
            color=_INK,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.text(0.98, 0.03, "numbers: photos", ha="right", fontsize=7, color=_INK)
    return figure


def kinds(report: Document) -> Figure:
    """Draw the area for each kind of counterfeit with its interval, and the peers'."""
    own = {
        kind: one
        for kind, one in report["per_kind"].items()
        if one["photos"] and np.isfinite(one["auroc"][OURS]["value"])
    }
    ranked = sorted(own, key=lambda kind: own[kind]["auroc"][OURS]["value"])
    figure, axes = _figure(
        "By kind of counterfeit",
        "AUROC against all genuine photos",
        "",
        width=6.4,
        height=1.2 + 0.27 * max(1, len(ranked)),
    )
    places = np.arange(len(ranked))
    ours = [own[kind]["auroc"][OURS] for kind in ranked]
    values = np.array([one["value"] for one in ours])
    ends = np.array([one["interval95"] for one in ours]).reshape(-1, 2)
    bars = np.nan_to_num(np.abs(ends - values[:, None]).T)
    axes.barh(
        places,
        values - 0.5,
        left=0.5,
        color=_COLOURS[OURS],
        alpha=0.75,
        height=0.6,
        label=LABELS[OURS],
    )
    axes.errorbar(values, places, xerr=bars, fmt="none", ecolor=_INK, lw=1, capsize=2)
    peers = [name for name in LABELS if name != OURS]
    for name in peers:
        spots = [
            (own[kind]["auroc"][name]["value"], place)
            for kind, place in zip(ranked, places, strict=True)
            if name in own[kind]["auroc"]
        ]
        if spots:
            axes.plot(
                *zip(*spots, strict=True),
                "o",
                ms=4,
                color=_COLOURS[name],
                label=LABELS[name],
            )
    axes.axvline(0.5, color=_INK, lw=0.8)
    axes.set_yticks(
        places,
        [f"{kind.replace('_', ' ')} ({own[kind]['photos']})" for kind in ranked],
    )
    axes.set_xlim(right=1.0)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def severity(
    observations: Sequence[Observation], is_fake: Mask, *, draws: int
) -> Figure:
    """Draw the area as counterfeits grow cruder, with intervals."""
    figure, axes = _figure(
        "By severity of the change",
        "severity (0 subtle, 1 crude)",
        "AUROC against all genuine photos",
        width=5.2,
    )
    levels = np.array([one.severity for one in observations])
    edges = np.quantile(levels[is_fake], np.linspace(0, 1, _SEVERITY_BINS + 1))
    for name in systems_of(observations):
        scores = scores_of(observations, name)
        spots = []
        for low, high in itertools.pairwise(edges):
            inside = is_fake & (levels >= low) & (levels <= high)
            chosen = np.flatnonzero((inside | ~is_fake) & np.isfinite(scores))
            groups = [observations[int(n)].group for n in chosen]
            if not inside[chosen].any() or is_fake[chosen].all():
                continue
            rows = resamples(groups, draws=draws)
            one = estimate(area, scores[chosen], is_fake[chosen], rows)
            spots.append((float(np.mean(levels[inside])), one.value, one.low, one.high))
        _line_with_band(axes, spots, name)
    axes.axhline(0.5, color="#999999", lw=0.8, ls=":")
    axes.set(xlim=(0, 1), ylim=(0.3, 1.01))
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _line_with_band(
    axes: Any, spots: Sequence[tuple[float, float, float, float]], name: str
) -> None:
    if not spots:
        return
    x, y, low, high = (np.array(one) for one in zip(*spots, strict=True))
    colour = _COLOURS[name]
    axes.plot(x, y, "o-", ms=4, color=colour, lw=1.6, label=LABELS[name])
    if name == OURS:  # those of the peers would hide it
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
