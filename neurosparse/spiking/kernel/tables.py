"""Weights and delays in whole numbers: their quantum, and tables of their quantiles."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from neurosparse._internal.grid import on_grid
from neurosparse.kernels.circuit import synapse_draws
from neurosparse.spiking.plain_circuit import Circuit

MOST_MEAN_ERROR = 0.01  # of a mean weight, by rounding


# --------------------------------------------------------------------------------------------------
# weights and tables
def weight_quantum(circuit: Circuit, *, exact: bool = False) -> float:
    """Return the unit in which weights are whole numbers, in mV (delta) or pA (exponential).

    The smallest mean weight, external ones included, is a whole number n of quanta. Without random
    weights, n is the least with which every mean is whole; with them, the largest that fits 8 bits,
    if possible one with which every mean is whole.

    Raises
    ------
    ValueError
        Where a mean would move by more than 1 %, or with `exact` at all, and where weights are
        random with `exact`.
    """
    synaptic = [(abs(p.weight), p.weight_rel_sd) for p in circuit.projections]
    external = [
        abs(p.drive_weight) for p in circuit.populations if p.drive_rate_hz and p.drive_weight
    ]
    if not synaptic and not external:
        return 1.0
    means = np.array([weight for weight, _ in synaptic] + external)
    spread = np.array([sd for _, sd in synaptic] + [0.0] * len(external))
    per_source: dict[int, set[float]] = {}
    for p in circuit.projections:
        per_source.setdefault(p.pre, set()).add(p.weight)
    random = bool(spread.any())
    own = random or any(len(weights) > 1 for weights in per_source.values())
    furthest = means * (1 + spread * float(ndtri(1 - 0.5 / synapse_draws.N_QUANTILES)))
    limit = np.array([127 if own else 32767] * len(synaptic) + [32767] * len(external))
    ratio = means / means.min()
    most = int((limit * means.min() / furthest).min() + 1e-9)

    def error(n: int) -> float:
        return float(np.max(np.abs(np.rint(ratio * n) / (ratio * n) - 1)))

    candidates = range(most, 0, -1) if random else range(1, most + 1)
    n = next((n for n in candidates if error(n) < 1e-9), most)
    if n < 1 or error(n) > MOST_MEAN_ERROR:
        raise ValueError(
            f"weights from {means.min():g} to {means.max():g} cannot be whole multiples of one"
            f" quantum within {MOST_MEAN_ERROR:.0%} in {8 if own else 16} bits; use another engine"
            " for this circuit"
        )
    if exact and (random or error(n) >= 1e-9):
        raise ValueError(
            "exact_weights: the weights of this circuit are "
            + (
                "random"
                if random
                else f"not multiples of one quantum (off by up to {error(n):.2g})"
            )
            + "; leave exact_weights out to round them"
        )
    return float(means.min() / n)


def weight_table(weight: float, rel_sd: float, quantum: float) -> NDArray[np.int16]:
    """Tabulate the quantiles of a normal distribution cut off at 0, in whole quanta.

    One value where there is no spread.
    """
    if rel_sd == 0:
        return np.array([round(weight / quantum)], np.int16)
    relative = _normal_quantiles(1.0, rel_sd, 0.0)
    return np.rint(weight / quantum * relative).astype(np.int16)


def delay_table(delay_ms: float, rel_sd: float, dt_ms: float) -> NDArray[np.uint16]:
    """Tabulate the quantiles of a normal distribution cut off at dt / 2, in whole steps.

    One value where there is no spread.
    """
    if rel_sd == 0:
        steps = np.array([on_grid("delay_ms", delay_ms, dt_ms)])
    else:
        steps = np.rint(_normal_quantiles(delay_ms, delay_ms * rel_sd, dt_ms / 2) / dt_ms)
    if steps.max() >= 1 << 16:
        raise ValueError(f"delay_ms must be less than {(1 << 16) * dt_ms:g} ms, got {delay_ms:g}")
    result: NDArray[np.uint16] = np.maximum(steps, 1).astype(np.uint16)
    return result


@lru_cache(maxsize=16)  # a circuit asks for a few of them, for each projection again
def _normal_quantiles(mean: float, sd: float, least: float) -> NDArray[np.float64]:
    """Return the middles of N_QUANTILES equally likely parts of a normal distribution.

    What lies below `least` is left out.
    """
    middles = (np.arange(synapse_draws.N_QUANTILES) + 0.5) / synapse_draws.N_QUANTILES
    below = ndtr((least - mean) / sd)
    result: NDArray[np.float64] = mean + sd * ndtri(below + middles * (1 - below))
    result.flags.writeable = False
    return result
