"""Rectifier networks in PyTorch: built, trained, saved, and probed for how sparse their activity
is.

Names are loaded when first used: the specs and the measures of others need no torch.
"""

from typing import TYPE_CHECKING

from neurosparse._internal import lazy

if TYPE_CHECKING:
    from neurosparse.probe.record import record, record_whole
    from neurosparse.rectifier.checkpoints import load_checkpoint
    from neurosparse.rectifier.devices import resolve
    from neurosparse.rectifier.evaluation import evaluate
    from neurosparse.rectifier.history import (
        DivergenceError,
        Epoch,
        LayerActivity,
        TrainResult,
        rows,
    )
    from neurosparse.rectifier.inference import SparseNetwork, infer
    from neurosparse.rectifier.modular import joined
    from neurosparse.rectifier.network import RectifierNetwork, folded, rescaled
    from neurosparse.rectifier.pretraining import PretrainResult, pretrain
    from neurosparse.rectifier.specs import AugmentationSpec, NetworkSpec, PretrainSpec, TrainSpec
    from neurosparse.rectifier.stacked import train_stacked
    from neurosparse.rectifier.training import train, train_many
    from neurosparse.rectifier.weights import load, save

_HOME = {
    "AugmentationSpec": "specs",
    "DivergenceError": "history",
    "Epoch": "history",
    "LayerActivity": "history",
    "NetworkSpec": "specs",
    "PretrainResult": "pretraining",
    "PretrainSpec": "specs",
    "RectifierNetwork": "network",
    "SparseNetwork": "inference",
    "TrainResult": "history",
    "TrainSpec": "specs",
    "evaluate": "evaluation",
    "folded": "network",
    "infer": "inference",
    "joined": "modular",
    "load": "weights",
    "load_checkpoint": "checkpoints",
    "pretrain": "pretraining",
    "record": "neurosparse.probe.record",
    "record_whole": "neurosparse.probe.record",
    "rescaled": "network",
    "resolve": "devices",
    "rows": "history",
    "save": "weights",
    "train": "training",
    "train_many": "training",
    "train_stacked": "stacked",
}

__all__ = [
    "AugmentationSpec",
    "DivergenceError",
    "Epoch",
    "LayerActivity",
    "NetworkSpec",
    "PretrainResult",
    "PretrainSpec",
    "RectifierNetwork",
    "SparseNetwork",
    "TrainResult",
    "TrainSpec",
    "evaluate",
    "folded",
    "infer",
    "joined",
    "load",
    "load_checkpoint",
    "pretrain",
    "record",
    "record_whole",
    "rescaled",
    "resolve",
    "rows",
    "save",
    "train",
    "train_many",
    "train_stacked",
]


__getattr__, __dir__ = lazy.exports(__name__, _HOME)
