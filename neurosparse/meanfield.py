"""Mean-field rates of recurrent networks of LIF cells: Siegert's rate, made self-consistent.

Each population's cells receive a mean and white noise that its sources' rates make. Their rates
must be what Siegert's formula gives back (Brunel 2000, J Comput Neurosci 8:183, eqs. 21-23, there
for one rate; Amit & Brunel 1997 for several). With an excitability that differs between cells rates
have a distribution, and so, through the sums over finitely many sources, has the input (Roxin et
al. 2011, J Neurosci 31:16217).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse.lif import LIF, siegert_rate

Floats = NDArray[np.float64]

# A random walk that is looked at once a step overshoots the threshold, as if that were higher by
# this much of a step's standard deviation: -zeta(1/2) / sqrt(2 pi) (Siegmund 1985; Broadie,
# Glasserman & Kou 1997).
OVERSHOOT = 0.5825971579390106


@dataclass(frozen=True, slots=True)
class MeanField:
    """A network in mean field: n populations, each of equal cells, with delta synapses.

    Parameters
    ----------
    cells : n LIF
    in_degrees : array of float, shape (n, n)
        Synapses that a cell of the row's population receives from the column's.
    weights_mV : array of float, shape (n, n)
        The jump of the potential that a spike makes, by target and source.
    input_mean_mV : array of float, shape (n,)
        The mean input from outside, as the depolarisation it holds at rest.
    input_sigma_mV : array of float, shape (n,)
        White noise from outside, in Brunel's convention: sqrt(2) times the standard deviation of
        the free potential.
    excitability_sd_mV : array of float, shape (n,), optional
        Standard deviation of the mean input over cells.
    dt_ms
        The step of a simulation to compare with: on a grid thresholds are crossed late, see
        OVERSHOOT. None for continuous time.
    """

    cells: Sequence[LIF]
    in_degrees: Floats
    weights_mV: Floats
    input_mean_mV: Floats
    input_sigma_mV: Floats
    excitability_sd_mV: Floats | None = None
    dt_ms: float | None = None

    def __post_init__(self) -> None:
        n = len(self.cells)
        shapes = {
            "in_degrees": (n, n),
            "weights_mV": (n, n),
            "input_mean_mV": (n,),
            "input_sigma_mV": (n,),
        }
        if self.excitability_sd_mV is None:
            object.__setattr__(self, "excitability_sd_mV", np.zeros(n))
        for name, shape in {**shapes, "excitability_sd_mV": (n,)}.items():
            array = checks.finite_array(name, getattr(self, name))
            if array.shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape} for {n} populations, got {array.shape}"
                )
            object.__setattr__(self, name, array)
        if self.dt_ms is not None:
            object.__setattr__(self, "dt_ms", checks.positive("dt_ms", self.dt_ms))


@dataclass(frozen=True, slots=True)
class Rates(cards.Shown):
    """The self-consistent solution; each array of shape (n_populations,)."""

    mean_hz: Floats
    variance_hz2: Floats  # over cells; 0 without excitability
    log_sd: Floats  # standard deviation of ln(rate) over cells
    input_mean_mV: Floats  # above rest, averaged over cells
    input_sigma_mV: Floats  # Brunel's convention
    input_spread_mV: Floats  # standard deviation of the mean input over cells

    def _card(self) -> cards.Card:
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = [
            {"population": k} | {name: float(values[k]) for name, values in columns.items()}
            for k in range(self.mean_hz.size)
        ]
        return cards.Card("Mean-field rates", rows)


def solve(
    network: MeanField,
    *,
    start_hz: ArrayLike = 1.0,
    tolerance_hz: float = 1e-9,
    steps: int = 100_000,
) -> Rates:
    """Return the self-consistent rates of a network, found from `start_hz`.

    They are found by following tau dr/dt = Siegert(r) - r.

    So a solution is one that is stable against slow changes; where there are several, the start
    decides.

    Raises
    ------
    ValueError
        Where the rates do not settle.
    """
    n = len(network.cells)
    tolerance_hz = checks.positive("tolerance_hz", tolerance_hz)
    mean = np.broadcast_to(checks.finite_array("start_hz", start_hz), (n,)).astype(float)
    variance = np.zeros(n)
    pace = 0.1
    last = np.inf
    for _ in range(steps):
        rates = _response(network, mean, variance)
        change = np.concatenate([rates.mean_hz - mean, rates.variance_hz2 - variance])
        size = float(np.abs(change).max())
        if size < tolerance_hz:
            return rates
        # inhibition feeds back with a large gain: too long a step would oscillate
        pace = min(pace * 1.02, 0.5) if size < last else max(pace * 0.7, 1e-4)
        last = size
        mean = np.maximum(mean + pace * change[:n], 0.0)
        variance = np.maximum(variance + pace * change[n:], 0.0)
    raise ValueError(
        f"the mean-field rates do not settle from start_hz={start_hz!r}; last change {size:.2g} Hz"
    )


def _response(network: MeanField, mean_hz: Floats, variance_hz2: Floats) -> Rates:
    """Return the rates that Siegert's formula gives for the input that the given rates make."""
    point, weight = np.polynomial.hermite_e.hermegauss(64)
    weight = weight / weight.sum()
    rows = []
    for k, cell in enumerate(network.cells):
        tau_s = cell.tau_m_ms * 1e-3
        number, jump = network.in_degrees[k], network.weights_mV[k]
        centre = network.input_mean_mV[k] + tau_s * (number * jump * mean_hz).sum()
        sigma = np.sqrt(network.input_sigma_mV[k] ** 2 + tau_s * (number * jump**2 * mean_hz).sum())
        drawn = network.excitability_sd_mV[k]  # type: ignore[index]
        spread = np.sqrt(drawn**2 + tau_s**2 * (number * jump**2 * variance_hz2).sum())
        late = (
            0.0
            if network.dt_ms is None
            else OVERSHOOT * sigma * np.sqrt(network.dt_ms / cell.tau_m_ms)
        )
        shifted = replace(cell, v_threshold_mV=cell.v_threshold_mV + late)
        rate = siegert_rate(cell.e_leak_mV + centre + spread * point, sigma, shifted)
        average = weight @ rate
        log = np.log(np.maximum(rate, 1e-300))
        log_variance = weight @ log**2 - (weight @ log) ** 2
        rows.append(
            (
                average,
                weight @ rate**2 - average**2,
                np.sqrt(max(log_variance, 0.0)),
                centre,
                sigma,
                spread,
            )
        )
    return Rates(*(np.array(column) for column in zip(*rows, strict=True)))


def brunel_rate(
    g: float,
    external: float,
    *,
    cell: LIF,
    in_degree: int = 1000,
    weight_mV: float = 0.1,
    inhibitory_share: float = 0.25,
    start_hz: float = 30.0,
) -> float:
    """Return the self-consistent rate in Hz of Brunel's network A (2000, eqs. 21-23).

    All its cells are alike.

    Parameters
    ----------
    g
        Strength of inhibition: an inhibitory spike moves the potential by -g weight_mV.
    external
        nu_ext / nu_thr, nu_thr = theta / (J C_E tau) being the rate that would just bring the mean
        to the threshold.
    cell
        Voltages counted from rest: e_leak_mV = 0.
    in_degree, inhibitory_share
        C_E, and C_I as a share of it.
    weight_mV
        Jump of the potential by an excitatory spike.
    start_hz
        Where several rates are self-consistent, the start decides.

    Examples
    --------
    >>> cell = LIF(tau_m_ms=20, e_leak_mV=0, v_threshold_mV=20, v_reset_mV=10, t_ref_ms=2)
    >>> round(brunel_rate(5.0, 2.0, cell=cell), 2)
    37.95
    """
    g, external = checks.number("g", g), checks.number("external", external)
    weight_mV = checks.number("weight_mV", weight_mV)
    inhibitory_share = checks.number("inhibitory_share", inhibitory_share)
    height_mV = cell.v_threshold_mV - cell.e_leak_mV
    network = MeanField(
        cells=[cell, cell],
        in_degrees=np.tile([in_degree, inhibitory_share * in_degree], (2, 1)),
        weights_mV=np.tile([weight_mV, -g * weight_mV], (2, 1)),
        input_mean_mV=np.full(2, external * height_mV),
        # sigma^2 = J mean for Poisson input
        input_sigma_mV=np.full(2, np.sqrt(external * height_mV * weight_mV)),
    )
    return float(solve(network, start_hz=start_hz).mean_hz[0])
