"""A smaller circuit that is, to first order, driven like the full one."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np

from neurosparse._internal import checks
from neurosparse.spiking.plain_circuit import Circuit
from neurosparse.spiking.synaptic_currents import resistance_mV_per_pA


class ScaledCircuitWarning(UserWarning):
    """A scaled-down circuit is another circuit."""


def scaled(circuit: Circuit, scale: float) -> Circuit:
    """Return a smaller circuit with, to first order, the input of the full one.

    Mean and variance are kept; a warning says that it is another circuit.

    Sizes and in-degrees, external ones included, are multiplied by `scale`, and weights divided by
    its root. The mean input that this loses at the full circuit's rates is given back as a constant
    (van Albada, Helias & Diesmann 2015, PLoS Comput Biol 11:e1004490). The authors' implementation
    of Potjans & Diesmann 2014 does the same.

    Raises
    ------
    ValueError
        Where scale is not in (0, 1], a population would vanish, or one that projects has no
        `mean_rate_hz`.
    """
    scale = checks.positive("scale", scale)
    if scale > 1:
        raise ValueError(f"scale must lie in (0, 1], got {scale:g}")
    if scale == 1:
        return circuit
    root = math.sqrt(scale)
    populations, first = [], 0
    for p in circuit.populations:
        size = round(p.size * scale)
        if size < 1:
            raise ValueError(
                f"scale={scale:g} leaves no cell of population {p.name!r} ({p.size} cells)"
            )
        rate_hz, weight = p.drive_rate_hz * scale, p.drive_weight / root
        populations.append(
            replace(p, size=size, first=first, drive_rate_hz=rate_hz, drive_weight=weight)
        )
        first += size
    factor = {"in_degree": scale, "total": scale**2, "pairwise": 1.0}
    projections = []
    for projection in circuit.projections:
        number = projection.number * factor[projection.rule]
        number = number if projection.rule == "pairwise" else round(number)
        if number:
            projections.append(replace(projection, number=number, weight=projection.weight / root))
    small = replace(
        circuit,
        populations=tuple(populations),
        projections=tuple(projections),
        scale=circuit.scale * scale,
    )
    # (1 - sqrt(scale)) of it, and what whole numbers lose
    lost = mean_input_mV(circuit) - mean_input_mV(small)
    given_back = [
        replace(p, dc_mV=p.dc_mV + float(mV)) for p, mV in zip(populations, lost, strict=True)
    ]
    warnings.warn(
        f"a circuit scaled to {scale:g} is not the full one: its rates, correlations and synchrony"
        " differ; compare it only with another simulator at the same scale",
        ScaledCircuitWarning,
        stacklevel=2,
    )
    return replace(small, populations=tuple(given_back))


def mean_input_mV(circuit: Circuit) -> np.ndarray:
    """Return the mean synaptic input of a cell of each population at the `mean_rate_hz`, in mV.

    It is given as the depolarisation that it holds, R I.

    Returns
    -------
    array of float, shape (n_populations,)
        Recurrent and external input together, the constant one not counted.

    Raises
    ------
    ValueError
        Where a population that projects has no `mean_rate_hz`.
    """
    per_rate = [
        (
            p.cell.tau_m_ms * 1e-3  # a jump of 1 mV at 1 Hz
            if circuit.synapse == "delta"
            # a current of 1 pA peak at 1 Hz
            else (circuit.tau_syn_ms or 0.0) * 1e-3 * resistance_mV_per_pA(p.cell)
        )
        for p in circuit.populations
    ]
    total = np.array(
        [
            p.drive_rate_hz * p.drive_weight * unit
            for p, unit in zip(circuit.populations, per_rate, strict=True)
        ]
    )
    for projection in circuit.projections:
        pre = circuit.populations[projection.pre]
        if pre.mean_rate_hz is None:
            raise ValueError(
                f"populations.{pre.name}.mean_rate_hz is needed to scale the circuit: give the rate"
                " at full scale"
            )
        in_degree = circuit.n_synapses(projection) / circuit.populations[projection.post].size
        total[projection.post] += (
            in_degree * projection.weight * pre.mean_rate_hz * per_rate[projection.post]
        )
    return total
