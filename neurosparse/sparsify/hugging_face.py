"""The state of a steering in that of Hugging Face's Trainer, and the penalty in its loss."""

from __future__ import annotations

import json

import torch
from torch import nn

from neurosparse._internal.types import Fields, FieldsView, Foreign
from neurosparse.sparsify.sparsifier import Sparsifier

_TENSORS = ("counts", "idle")  # of a steering's state


def as_text(state: FieldsView) -> str:
    """Return the state of a steering as JSON."""
    plain = {name: value for name, value in state.items() if name not in _TENSORS}
    tensors = {part: {k: v.tolist() for k, v in state[part].items()} for part in _TENSORS}
    return json.dumps({**plain, **tensors})


def from_text(text: object) -> Fields:
    """Return what `as_text` was given."""
    try:
        state: Fields = dict(json.loads(text))  # type: ignore[arg-type]
        for part in _TENSORS:
            state[part] = {k: torch.tensor(v, dtype=torch.int64) for k, v in state[part].items()}
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, RecursionError):
        raise ValueError(
            "the checkpoint holds no state of a steering, or a damaged one: begin a new training"
            " from its weights"
        ) from None
    return state


def kept_in(state: Foreign) -> Fields:
    """Return the state of a steering in that of a Trainer which goes on from a checkpoint."""
    of_callback = state.stateful_callbacks.get("TransformersSparsity") or {}
    of_callback = of_callback[0] if isinstance(of_callback, list) else of_callback
    return from_text(of_callback.get("attributes", {}).get("kept"))


def _of_dict(output: Foreign) -> Foreign:
    return output.get("loss") if isinstance(output, dict) else None


class Loss:
    """The loss that a model returns, to which the penalty is added, and whether that was used."""

    def __init__(self) -> None:
        self.is_added = self.is_used = False

    def add(
        self,
        steered: Sparsifier,
        parts: int,
        model: nn.Module,
        _args: Foreign,
        kwargs: Foreign,
        output: Foreign,
    ) -> Foreign:
        """Add the penalty to the loss of an output; where that is a part of a step's, its part.

        Without a loss the penalty is left to the function that computes one.
        """
        if not (model.training and torch.is_grad_enabled()):
            return output
        loss, *others = output if isinstance(output, tuple) else (_of_dict(output),)
        is_loss = isinstance(loss, torch.Tensor) and loss.ndim == 0
        if not is_loss and steered.l1:
            return output
        penalty = steered.penalty()
        if not is_loss:  # top_k: there is none
            return output
        if penalty.requires_grad:
            self.is_added = True
            penalty.register_hook(self._use)
        share = parts if kwargs.get("num_items_in_batch") is not None else 1
        loss = loss + penalty / share
        if isinstance(output, tuple):
            return (loss, *others)
        output["loss"] = loss
        return output

    def _use(self, _gradient: Foreign) -> None:
        self.is_used = True

    def check(self, steered: Sparsifier) -> None:
        """Refuse a step that was made without the penalty."""
        lost = self.is_added and not self.is_used
        self.is_added = self.is_used = False
        if lost or not steered.is_asked:
            raise RuntimeError(
                "the penalty was no part of the loss of this step, for compute_loss computes its"
                " own: take the labels out of the inputs before it calls the model, and let it"
                " return loss + callback.sparsity.penalty()"
            )
