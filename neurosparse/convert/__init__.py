"""Converters: a rectifier network as a spiking network, a spiking cell as a rate, and how well they
agree.

Names are loaded when first used.
"""

from typing import TYPE_CHECKING

from neurosparse._internal import lazy

if TYPE_CHECKING:
    from neurosparse.convert.brian import run_in_brian2, to_brian2
    from neurosparse.convert.lif_network import LIFNetworkSpec, train_lif_network
    from neurosparse.convert.network import Run, SpikingNetwork, to_spiking
    from neurosparse.convert.neurons import NeuronSpec
    from neurosparse.convert.nir.files import from_nir, to_nir
    from neurosparse.convert.normalisation import Normalisation
    from neurosparse.convert.quantised import quantise
    from neurosparse.convert.rate import LIFRate, to_rate
    from neurosparse.convert.report import ConversionReport
    from neurosparse.convert.tracing import ConversionError
    from neurosparse.convert.tuning import tune
    from neurosparse.convert.verification import verify

_HOME = {
    "ConversionError": "tracing",
    "ConversionReport": "report",
    "LIFNetworkSpec": "lif_network",
    "LIFRate": "rate",
    "NeuronSpec": "neurons",
    "Normalisation": "normalisation",
    "Run": "network",
    "SpikingNetwork": "network",
    "from_nir": "nir.files",
    "quantise": "quantised",
    "run_in_brian2": "brian",
    "to_brian2": "brian",
    "to_nir": "nir.files",
    "to_rate": "rate",
    "to_spiking": "network",
    "train_lif_network": "lif_network",
    "tune": "tuning",
    "verify": "verification",
}

__all__ = [
    "ConversionError",
    "ConversionReport",
    "LIFNetworkSpec",
    "LIFRate",
    "NeuronSpec",
    "Normalisation",
    "Run",
    "SpikingNetwork",
    "from_nir",
    "quantise",
    "run_in_brian2",
    "to_brian2",
    "to_nir",
    "to_rate",
    "to_spiking",
    "train_lif_network",
    "tune",
    "verify",
]


__getattr__, __dir__ = lazy.exports(__name__, _HOME)
