"""Spiking cells and circuits: Brian2, and engines that run the same recipes, all into
`SpikeTrains`.

Names are loaded when first used: importing this package imports neither Brian2 nor numba.
"""

from typing import TYPE_CHECKING

from neurosparse._internal import lazy

if TYPE_CHECKING:
    from neurosparse.spiking.cells import FICurve, LIFSpec, fi_curve, load_lif
    from neurosparse.spiking.circuit import CircuitSpec
    from neurosparse.spiking.population import PopulationSpec, load_population, simulate_population
    from neurosparse.spiking.simulate import run_circuit

_HOME = {
    "CircuitSpec": "circuit",
    "FICurve": "cells",
    "LIFSpec": "cells",
    "PopulationSpec": "population",
    "fi_curve": "cells",
    "load_lif": "cells",
    "load_population": "population",
    "run_circuit": "simulate",
    "simulate_population": "population",
}

__all__ = [
    "CircuitSpec",
    "FICurve",
    "LIFSpec",
    "PopulationSpec",
    "fi_curve",
    "load_lif",
    "load_population",
    "run_circuit",
    "simulate_population",
]

__getattr__, __dir__ = lazy.exports(__name__, _HOME)
