"""Converters: a rectifier network as a spiking network, a spiking cell as a rate, and how well they agree.

Names are loaded when first used.
"""

from typing import TYPE_CHECKING

from neurosparse import lazy

if TYPE_CHECKING:
    from neurosparse.convert.brian import run_in_brian2, to_brian2
    from neurosparse.convert.network import Run, SpikingNetwork, to_spiking
    from neurosparse.convert.neurons import NeuronSpec
    from neurosparse.convert.normalisation import Normalisation
    from neurosparse.convert.tracing import ConversionError

_HOME = {
    "ConversionError": "tracing",
    "NeuronSpec": "neurons",
    "Normalisation": "normalisation",
    "Run": "network",
    "SpikingNetwork": "network",
    "run_in_brian2": "brian",
    "to_brian2": "brian",
    "to_spiking": "network",
}

__all__ = [
    "ConversionError",
    "NeuronSpec",
    "Normalisation",
    "Run",
    "SpikingNetwork",
    "run_in_brian2",
    "to_brian2",
    "to_spiking",
]


__getattr__, __dir__ = lazy.exports(__name__, _HOME)
