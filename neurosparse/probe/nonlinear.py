"""Calls of a forward pass that are layers of activity.

They are non-linearities, as modules or functions, and gated units.

A model is followed while it runs, through a `TorchFunctionMode` (every function of torch that it
calls) and hooks on its modules (where it stands). So what counts does not depend on how the model
is written:

- a module of `NON_LINEARITIES`, or one without children and parameters whose output is made of that
  of such a function element by element (a GELU by hand): its output, under the module's name;
- a function such as `torch.relu` or `silu` that any other module calls: under the module's name and
  its own, "block.relu";
- a rectifier by hand, such as `x * (x > 0)`, `where(x > 0, x, 0)` or `maximum(x, 0)`, and a
  selection of the largest (top-k), under the name of its last function;
- a product with such an output, as in silu(a) * b: "block.silu*gate". Products that spread one gate
  over several units are none.

Only what depends on the inputs is activity: a softplus of weights is none. A layer is known by who
called it, where, and with the output of which weights. So experts that share one activation are
layers of their own, whatever the order in which the data call them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neurosparse.probe.layer_names import is_asked
from neurosparse.probe.monitor import Monitor
from neurosparse.probe.originals import as_written, plain_name
from neurosparse.probe.rectifiers import (
    GATE,
    NON_LINEARITIES,
)
from neurosparse.probe.unit_axes import LayerOutput

__all__ = [
    "GATE",
    "NON_LINEARITIES",
    "Consume",
    "LayerOutput",
    "Monitor",
    "listening",
    "monitoring",
]

# the name of a layer, its output, the axis of its units; None, or what takes the output's place
Consume = Callable[[str, Tensor, int], Tensor | None]


@contextmanager
def listening(
    model: nn.Module,
    consume: Consume,
    layers: Sequence[str] | None = None,
    *,
    live: bool = False,
) -> Iterator[Counter[str]]:
    """Run the model in this block, and consume each layer that fires.

    It is consumed at once, for what follows may work in place.

    Parameters
    ----------
    model
        Any module.
    consume
        Called with a layer's name, its output, detached, and the axis of its units. A layer that
        is called with the outputs of k different weights is "name", "name#2", ... "name#k".
    layers
        To listen to these alone: names of modules of any kind, or of functions as above. A name
        without a number is all layers of that name.
    live
        Hand over each output as the model has it, with its graph. A tensor that `consume` returns
        then takes its place in the model.

    Yields
    ------
    Counter
        How often each layer has fired; to be cleared before each pass.

    Notes
    -----
    `torch.backends.mha`'s fast path, in which a transformer's encoder calls neither modules nor
    functions, is off meanwhile. A compiled model runs as it was written.
    """

    def hand_over(layer: LayerOutput) -> Tensor | None:
        if not is_asked(layer.name, layers):
            return None
        output = layer.output if live else layer.output.detach()
        instead = consume(layer.name, output, layer.shown_axis)
        return instead if live else None

    with monitoring(model, hand_over, layers, asks=False, live=live) as monitor:
        yield monitor.fired


@contextmanager
def monitoring(
    model: nn.Module,
    consume: Callable[[LayerOutput], Tensor | None],
    layers: Sequence[str] | None = None,
    units_axis: int | Mapping[str, int] | None = None,
    *,
    asks: bool = True,
    live: bool = False,
    spares: bool = False,
    with_root: bool = True,
) -> Iterator[Monitor]:
    """Listen as `listening` does; each output comes with all that is known of it.

    Parameters
    ----------
    model, consume, layers
        As in `listening`.
    units_axis
        The axis of the units where it cannot be known: one for all layers, or by their names.
    asks
        Raise a ValueError where the axis of the units is not known; otherwise it is the last.
    live
        Outputs are handed over as the model has them; those that it keeps to itself are not.
    spares
        An error of this package's own ends the listening (`Monitor.failure`), and not the pass.
    with_root
        Hooks on the model itself, too. One that is being called does without.
    """
    monitor = Monitor(model, consume, layers, units_axis, asks=asks, live=live, spares=spares)
    handles = []
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for name, module in model.named_modules():
            if not (name or with_root):
                continue
            shown = plain_name(name)
            handles.append(module.register_forward_pre_hook(monitor.enter(shown), with_kwargs=True))
            handles.append(
                module.register_forward_hook(monitor.leave(shown, module), with_kwargs=True)
            )
        with as_written(model), monitor:
            yield monitor
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()
