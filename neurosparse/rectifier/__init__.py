"""Rectifier networks in PyTorch: built, trained, saved, and probed for how sparse their activity is.

Names are loaded when first used: the specs and the measures of others need no torch.
"""

from typing import TYPE_CHECKING

from neurosparse import lazy

if TYPE_CHECKING:
    from neurosparse.rectifier.devices import resolve
    from neurosparse.rectifier.history import DivergenceError, Epoch, LayerActivity, TrainResult
    from neurosparse.rectifier.inference import SparseNetwork, infer
    from neurosparse.rectifier.network import RectifierNetwork
    from neurosparse.rectifier.probe import record, record_whole
    from neurosparse.rectifier.specs import NetworkSpec, TrainSpec
    from neurosparse.rectifier.training import train, train_many
    from neurosparse.rectifier.weights import load, save

_HOME = {
    "DivergenceError": "history",
    "Epoch": "history",
    "LayerActivity": "history",
    "NetworkSpec": "specs",
    "RectifierNetwork": "network",
    "SparseNetwork": "inference",
    "TrainResult": "history",
    "TrainSpec": "specs",
    "infer": "inference",
    "load": "weights",
    "record": "probe",
    "record_whole": "probe",
    "resolve": "devices",
    "save": "weights",
    "train": "training",
    "train_many": "training",
}

__all__ = [
    "DivergenceError",
    "Epoch",
    "LayerActivity",
    "NetworkSpec",
    "RectifierNetwork",
    "SparseNetwork",
    "TrainResult",
    "TrainSpec",
    "infer",
    "load",
    "record",
    "record_whole",
    "resolve",
    "save",
    "train",
    "train_many",
]


__getattr__, __dir__ = lazy.exports(__name__, _HOME)
