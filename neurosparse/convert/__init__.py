"""Converters: a rectifier network as a spiking network, a spiking cell as a rate, and how well they agree.

Names are loaded when first used.
"""

from typing import TYPE_CHECKING

from neurosparse import lazy

if TYPE_CHECKING:
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
    "to_spiking": "network",
}

__all__ = [
    "ConversionError",
    "NeuronSpec",
    "Normalisation",
    "Run",
    "SpikingNetwork",
    "to_spiking",
]


__getattr__, __dir__ = lazy.exports(__name__, _HOME)
