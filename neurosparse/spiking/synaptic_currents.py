"""Currents of synapses and the potentials that they give: pA <-> mV."""

from __future__ import annotations

import math

from neurosparse.spiking.circuit_specs import CellSpec


def psc_per_psp(cell: CellSpec, tau_syn_ms: float) -> float:
    """Return the peak in pA of the exponential current whose potential peaks at 1 mV.

    The current is postsynaptic.

    The potential after a current exp(-t/tau_s) is R tau_s / (tau_s - tau_m) (exp(-t/tau_s) -
    exp(-t/tau_m)). It peaks at t = tau_m tau_s / (tau_m - tau_s) ln(tau_m / tau_s) (Potjans &
    Diesmann 2014, table 4; van Albada et al. 2018, eq. 4).

    Raises
    ------
    ValueError
        Where the cell has no capacitance.

    Examples
    --------
    >>> cell = CellSpec(
    ...     tau_m_ms=10, e_leak_mV=-65, v_threshold_mV=-50, v_reset_mV=-65, t_ref_ms=2,
    ...     capacitance_pF=250,
    ... )
    >>> round(0.15 * psc_per_psp(cell, 0.5), 2)
    87.81
    """
    tau_m, tau_s = cell.tau_m_ms, tau_syn_ms
    if cell.capacitance_pF is None:
        raise ValueError("capacitance_pF is needed where synapses are currents; add it to the cell")
    if math.isclose(tau_m, tau_s, rel_tol=1e-6):
        return math.e * cell.capacitance_pF / tau_m
    peak_ms = tau_m * tau_s / (tau_m - tau_s) * math.log(tau_m / tau_s)
    rise = (
        tau_m * tau_s / (tau_s - tau_m) * (math.exp(-peak_ms / tau_s) - math.exp(-peak_ms / tau_m))
    )
    return cell.capacitance_pF / rise


def resistance_mV_per_pA(cell: CellSpec) -> float:
    """Return R = tau_m / C: the depolarisation that a steady current of 1 pA holds.

    A ValueError where the cell has no capacitance.
    """
    if cell.capacitance_pF is None:
        raise ValueError("capacitance_pF is needed where synapses are currents; add it to the cell")
    return cell.tau_m_ms / cell.capacitance_pF
