"""Tables and the figure of the brain-level study: what its arms cost, and how active they are."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurosparse import plots
from neurosparse._internal.tables import markdown
from neurosparse._internal.types import Fields
from neurosparse.sparsity.paired import OVER_SEEDS, Mean, crossed, difference, mean
from neurosparse.studies.runs import ROTATIONS, Row, misclassified

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVER_SEEDS_AND_IMAGES = "±: half of the 95 % interval over seeds and images."
OVER_ROTATIONS = (
    "±: half of the 95 % interval over rotations (Student's t). Each has other test\n"
    "images and another training."
)

_IMAGES = {"test": "test images", "validation": "validation images", "rotated": "all images"}


def table(rows: Sequence[Row], images: str = "test") -> str:
    """Return two Markdown tables of at most 80 columns, with what their intervals are over.

    What sparsity costs compared with the dense arm, and how active each arm is.

    Parameters
    ----------
    rows
        Of all networks of a study.
    images
        Whose errors: "test", "validation", or "rotated", where every image is a test image once.
        The arms of a rotated study are compared with the dense arm that has the fewest errors, the
        others with the first arm.
    """
    arms = _arms(rows)
    cost = _rotated_cost(rows, arms) if images == "rotated" else _cost(rows, arms, images)
    head = ["arm", "epochs", "active %", "by layer", "alive by layer", "kMACs"]
    short = _short if images == "rotated" else str
    activity = [[short(arm), *_activity(_of(rows, arm))] for arm in arms]
    return f"{cost}\n\n{markdown(head, activity)}"


def figure(rows: Sequence[Row], path: Path, images: str = "test") -> None:
    """Draw differences from the dense arm, a dot a network, with their means and intervals."""
    arms, dense = _arms(rows), reference(rows, images)
    others = [arm for arm in arms if arm != dense]
    found = partial(_finding, _IMAGES[images])

    def error(ax: Axes) -> None:
        quantity = "test_error" if images == "rotated" else f"{images}_error"
        of = {arm: error_difference(rows, arm, dense, images) for arm in others}
        _differences(ax, rows, dense, quantity, 100, of)
        ax.set(ylabel="error - dense (points)", title=found("error", "points", of, 100, 1))
        ax.legend(loc="best", frameon=False, fontsize=plots.look.small())

    def nll(ax: Axes) -> None:
        quantity = f"{images}_nll"
        of = {arm: difference(rows, arm, dense, quantity) for arm in others}
        _differences(ax, rows, dense, quantity, 1, of)
        ax.set(ylabel="NLL - dense (nats)", title=found("NLL", "nats", of, 1, 3))

    draw, wide = ([error], 6.0) if images == "rotated" else ([error, nll], 8.0)
    plots.save(path, *draw, inches=(wide, 3.4), also=[".svg"])


def reference(rows: Sequence[Row], images: str) -> str:
    """Return the arm that the others are compared with."""
    arms = _arms(rows)
    if images != "rotated":
        return arms[0]
    dense = [arm for arm in arms if arm.startswith("dense")]
    return min(dense, key=lambda arm: wrong(rows, arm).mean())


def error_difference(rows: Sequence[Row], arm: str, against: str, images: str) -> Mean:
    """Return how much larger an arm's error is, as a share, with its interval.

    In a rotated study it is over seeds and images; where there is one seed, over rotations.
    """
    if images != "rotated":
        return difference(rows, arm, against, f"{images}_error")
    more = wrong(rows, arm).astype(float) - wrong(rows, against)
    if len(more) > 1:
        return crossed(more)
    first, second = (_by_rotation(rows, name) for name in (arm, against))
    return mean([first[rotation] - second[rotation] for rotation in sorted(first)])


def wrong(rows: Sequence[Row], arm: str) -> NDArray[np.int8]:
    """Return what an arm misclassifies, shape (seeds, all images), by rotation."""
    of_seed: dict[int, list[NDArray[np.int8]]] = {}
    for row in sorted(_of(rows, arm), key=lambda row: row["rotation"]):
        of_seed.setdefault(row["seed"], []).append(misclassified(row))
    return np.array([np.concatenate(parts) for _, parts in sorted(of_seed.items())])


def _cost(rows: Sequence[Row], arms: Sequence[str], images: str) -> str:
    lines, dense = [], reference(rows, images)
    quantities = (f"{images}_error", f"{images}_nll")
    for arm in arms:
        error, nll = (mean([row[name] for row in _of(rows, arm)]).mean for name in quantities)
        more = ["", ""]
        if arm != dense:
            of_error = error_difference(rows, arm, dense, images)
            more = [
                of_error.describe(100),
                difference(rows, arm, dense, quantities[1]).describe(1, 3),
            ]
        time = _time(rows, arm, dense)
        lines.append([arm, f"{100 * error:.2f}", more[0], f"{nll:.3f}", more[1], time])
    n_seeds = len({row["seed"] for row in rows})
    head = [f"{n_seeds} seeds", "error %", "minus dense", "NLL", "minus dense", "time"]
    return f"{markdown(head, lines)}\n\n{OVER_SEEDS}"


def _rotated_cost(rows: Sequence[Row], arms: Sequence[str]) -> str:
    lines, dense = [], reference(rows, "rotated")
    for arm in arms:
        error, nll = wrong(rows, arm).mean(), np.mean([row["test_nll"] for row in _of(rows, arm)])
        more = "" if arm == dense else error_difference(rows, arm, dense, "rotated").describe(100)
        time = _time(rows, arm, dense)
        lines.append([_short(arm), f"{100 * error:.2f}", more, f"{nll:.3f}", time])
    n_seeds, n_images = wrong(rows, dense).shape
    times, each = (n_seeds, n_images) if n_seeds > 1 else (ROTATIONS, n_images // ROTATIONS)
    head = [
        f"{times} x {each:,} images",
        "error %",
        f"minus {_short(dense)}",
        "NLL",
        "time",
    ]
    note = OVER_ROTATIONS if n_seeds == 1 else OVER_SEEDS_AND_IMAGES
    return f"{markdown(head, lines)}\n\n{note}"


def _activity(mine: Sequence[Row]) -> list[str]:
    return [
        f"{mine[0]['epochs']}",
        f"{100 * np.mean([row['active_fraction'] for row in mine]):.2f}",
        _by_layer(mine, "active_by_layer", ".2g"),
        _by_layer(mine, "alive_by_layer", ".0f"),
        f"{np.mean([row['active_macs'] for row in mine]) / 1000:,.0f}",
    ]


def _differences(
    ax: Axes, rows: Sequence[Row], dense: str, quantity: str, scale: float, of: dict[str, Mean]
) -> None:
    """Draw `scale` times differences of a quantity: a dot a network, and the mean of each arm."""
    start = {_pair(row): row[quantity] for row in _of(rows, dense)}
    for k, (arm, whole) in enumerate(of.items()):
        each = [
            scale * (row[quantity] - start[_pair(row)])
            for row in _of(rows, arm)
            if _pair(row) in start
        ]
        colour = plots.COLOURS[k % len(plots.COLOURS)]
        dots, bar = ("a network", "mean, 95 % interval") if k == 0 else (None, None)
        look: Fields = {"color": colour, "ms": 4, "alpha": 0.5, "mew": 0, "label": dots}
        ax.plot([k - 0.12] * len(each), each, "o", **look)
        half = scale * (whole.high - whole.mean)
        look = {"color": colour, "ms": 6, "capsize": 4, "label": bar}
        ax.errorbar(k + 0.12, scale * whole.mean, half, fmt="D", **look)
    ax.axhline(0, color="0.6", lw=1, ls="--", zorder=0)
    ax.set_xticks(range(len(of)), [_in_lines(arm) for arm in of])
    ax.set(xlabel="active units", xlim=(-0.5, len(of) - 0.5))


def _finding(
    images: str, quantity: str, unit: str, of: Mapping[str, Mean], scale: float, digits: int
) -> str:
    """Return the least and the largest mean difference of sparse arms from the dense one."""
    means = [scale * each.mean for arm, each in of.items() if not arm.startswith("dense")]
    if not means:
        return quantity
    low, high = f"{min(means):+.{digits}f}", f"{max(means):+.{digits}f}"
    span = low if low == high else f"{low} to {high}"
    return f"Sparse minus dense, {images}:\n{quantity} {span} {unit}"


def _short(arm: str) -> str:
    """Return the name of an arm where the images of all arms are moved."""
    return arm.removesuffix(" moved").rstrip(",")


def _in_lines(arm: str) -> str:
    """Return the name of an arm in lines, for an axis."""
    start, _, rest = arm.replace("dense ", "dense% ").partition("% ")
    unit = "%" if start != "dense" else ""
    return "\n".join([start + unit, *textwrap.wrap(rest, 9)])


def _arms(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in rows))


def _of(rows: Sequence[Row], arm: str) -> list[Row]:
    return [row for row in rows if row["arm"] == arm]


def _pair(row: Row) -> tuple[int, int | None]:
    """Return what networks of two arms have in common that are compared."""
    return row["seed"], row.get("rotation")


def _by_rotation(rows: Sequence[Row], arm: str) -> dict[int, float]:
    return {row["rotation"]: row["test_error"] for row in _of(rows, arm)}


def _time(rows: Sequence[Row], arm: str, dense: str) -> str:
    """Return an arm's training time as a share of that of another."""
    mine, of_dense = (np.mean([row["cpu_s"] for row in _of(rows, name)]) for name in (arm, dense))
    return f"{mine / of_dense:.2f}"


def _by_layer(rows: Sequence[Row], name: str, form: str) -> str:
    return ", ".join(
        f"{100 * share:{form}}" for share in np.mean([row[name] for row in rows], axis=0)
    )
