"""LIF cells in Brian2 and their f-I curve, compared with the closed form.

Spike times are exact within the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse import recipes
from neurosparse._internal import cards, checks
from neurosparse.activity import NANOSECOND_MS, SpikeTrains, frozen
from neurosparse.lif import LIF, rate
from neurosparse.progress import Progress, quiet
from neurosparse.spiking.brian import running as engine

Floats = NDArray[np.float64]


class LIFSpec(recipes.Spec):
    """A LIF cell as a recipe (`kind = "lif"`) or as a part of one.

    It has the fields of `neurosparse.LIF`.
    """

    tau_m_ms: float
    resistance_MOhm: float = 100.0
    e_leak_mV: float
    v_threshold_mV: float
    v_reset_mV: float
    t_ref_ms: float

    def cell(self) -> LIF:
        """Return the checked parameters."""
        return LIF(**self.model_dump())


def load_lif(name_or_path: str | Path, **overrides: object) -> LIF:
    """Load the LIF cell of a recipe, by its name or path, `overrides` replacing values.

    Examples
    --------
    >>> load_lif("lif_glorot2011").t_ref_ms
    3.99
    """
    return recipes.load(name_or_path, kind="lif").spec(LIFSpec, **overrides).cell()


@dataclass(frozen=True, slots=True)
class FICurve(cards.Shown):
    """Firing rate over current, simulated and in closed form, both of shape (n_cells,)."""

    currents_nA: Floats
    rates_hz: Floats
    theory_hz: Floats
    spikes: SpikeTrains = field(repr=False)

    __repr__ = frozen.brief

    def _card(self) -> cards.Card:
        low, high = float(self.currents_nA.min()), float(self.currents_nA.max())
        shown = {
            "cells": self.currents_nA.size,
            "current (nA)": f"{low:.4g} to {high:.4g}",
            "highest rate (Hz)": float(self.rates_hz.max()),
            "largest error (%)": 100 * self.largest_error,
        }
        return cards.Card("f-I curve", shown)

    @property
    def relative_error(self) -> Floats:
        """(rates - theory) / theory, shape (n_cells,).

        0 where a cell is silent and should be, NaN where it is silent because the run is shorter
        than its interval.
        """
        error = np.zeros_like(self.theory_hz)
        fires = self.theory_hz > 0
        error[fires] = self.rates_hz[fires] / self.theory_hz[fires] - 1
        error[fires & (self.rates_hz == 0)] = np.nan
        error[~fires & (self.rates_hz > 0)] = np.inf
        return error

    @property
    def largest_error(self) -> float:
        """The largest absolute relative error among the cells that the run is long enough for."""
        return float(np.nanmax(np.abs(self.relative_error)))


def fi_curve(
    lif: LIF | Sequence[LIF],
    currents_nA: ArrayLike,
    *,
    duration_ms: float = 2000.0,
    dt_ms: float = 0.1,
    target: engine.Target | None = None,
    progress: Progress = quiet,
) -> FICurve:
    """Simulate the f-I curve of LIF cells under constant currents in Brian2.

    Each cell starts at its reset as if a spike had just passed its refractory period, and its rate
    is the number of its intervals over their sum: n / (t_last + t_ref). Spikes lie where the
    membrane crosses the threshold, not on the grid (see `exact_cells`), so the rate agrees with
    `neurosparse.lif.rate` to rounding.

    Parameters
    ----------
    lif
        One cell for all currents, or one for each.
    currents_nA : array of float, shape (n_cells,)
        One for each cell.
    duration_ms, dt_ms
        Simulated time and step. No cell may fire more than once a step.
    target
        "cpp" or "numpy"; see `brian.running.run`.
    progress
        Told how far the simulation is.

    Raises
    ------
    ValueError
        On NaN, on no currents, on unlike lengths, on cells that fire faster than once a step.
    TypeError
        On what is no LIF cell.

    Examples
    --------
    >>> curve = fi_curve(LIF(), [0.1, 0.3, 0.5], duration_ms=200.0)      # doctest: +SKIP
    >>> curve.rates_hz.round(2)                                          # doctest: +SKIP
    array([ 0.  , 41.71, 81.85])
    """
    currents = checks.finite_array("currents_nA", currents_nA)
    duration_ms, dt_ms = (
        checks.positive("duration_ms", duration_ms),
        checks.positive("dt_ms", dt_ms),
    )
    if currents.ndim != 1 or currents.size == 0:
        raise ValueError(
            f"currents_nA must be a list of at least one current, got shape {currents.shape}"
        )
    if isinstance(lif, LIF):
        cells = [lif] * currents.size
    else:
        cells = checks.instances("lif", lif, LIF, "make one: neurosparse.LIF()")
    if len(cells) != currents.size:
        raise ValueError(
            f"lif must be one cell or one for each of the {currents.size} currents, got"
            f" {len(cells)}"
        )
    theory = np.array([rate(i, cell) for i, cell in zip(currents, cells, strict=True)])
    if theory.max() * dt_ms * 1e-3 >= 1:
        raise ValueError(
            f"dt_ms must be below {1e3 / theory.max():.3g}, the shortest interval here, got"
            f" {dt_ms:g}"
        )

    spikes = exact_cells(
        cells, currents, duration_ms=duration_ms, dt_ms=dt_ms, target=target, progress=progress
    )
    t_ref_ms = np.array([cell.t_ref_ms for cell in cells])
    last_ms = np.zeros(currents.size)
    np.maximum.at(last_ms, spikes.units, spikes.times_ms)
    rates = 1e3 * spikes.counts / np.where(spikes.counts > 0, last_ms + t_ref_ms, 1.0)
    return FICurve(currents, rates, theory, spikes)


# u is the membrane's distance from where its current takes it, negative below. Where a step ends
# above the threshold, the membrane crossed it tau ln(u_th / u) earlier. It is then put where the
# relaxation that begins at the reset, once the refractory period is over, comes from: the further
# below, the longer it still has to wait. So a held cell needs no case of its own and a step is one
# product; exact for any step shorter than the interval.
_EQUATIONS = """
u : volt
u_th : volt (constant)
u_reset : volt (constant)
tau : second (constant)
t_ref : second (constant)
decay : 1 (constant)
t_spike : second
"""
_RELAX = "u *= decay"
_SPIKE = """
t_spike = t + dt - tau * log(u_th / u)
u = u_reset * exp((t_spike + t_ref - t - dt) / tau)
"""


def exact_cells(
    cells: Sequence[LIF],
    currents_nA: Floats,
    *,
    duration_ms: float,
    dt_ms: float = 0.1,
    target: engine.Target | None = None,
    progress: Progress = quiet,
) -> SpikeTrains:
    """Make unconnected LIF cells under constant currents.

    Spike times lie off the grid, at the crossings of the threshold.

    Nothing here is random. The number of cells is rounded up to a power of two, 1024 at least, so
    that few sizes are compiled.
    """
    n = len(cells)
    padded = [*cells, *[cells[-1]] * ((1 << max(10, (n - 1).bit_length())) - n)]
    value = {f.name: np.array([getattr(cell, f.name) for cell in padded]) for f in fields(LIF)}
    drive_mV = value["resistance_MOhm"] * np.pad(currents_nA, (0, len(padded) - n), mode="edge")

    def model() -> Any:
        b2 = engine.brian2()
        group = b2.NeuronGroup(
            len(padded), _EQUATIONS, threshold="u >= u_th", reset=_SPIKE, name="cells"
        )
        group.run_regularly(_RELAX, when="groups", name="relax")
        ends_mV = value["e_leak_mV"] + drive_mV
        group.u_th = (value["v_threshold_mV"] - ends_mV) * b2.mV
        group.u_reset = (value["v_reset_mV"] - ends_mV) * b2.mV
        group.tau, group.t_ref = value["tau_m_ms"] * b2.ms, value["t_ref_ms"] * b2.ms
        group.decay = np.exp(-dt_ms / value["tau_m_ms"])
        group.u = group.u_reset
        return group, b2.SpikeMonitor(
            group, variables=["t_spike"], when="after_resets", name="spikes"
        )

    result = engine.run(
        model, duration_ms=duration_ms, dt_ms=dt_ms, seed=0, target=target, progress=progress
    )
    times_ms, units = result["spikes"]["t_spike"] * 1e3, result["spikes"]["i"]
    kept = (units < n) & (times_ms < result.duration_ms - NANOSECOND_MS)
    return SpikeTrains(times_ms[kept], units[kept], n_units=n, duration_ms=result.duration_ms)
