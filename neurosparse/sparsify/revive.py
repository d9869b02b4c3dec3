"""Biases set from data, so that units are active for a wanted share of it.

They are set at the start, and again for units that died. Near the end of a training those of whole
layers are shifted a little, look by look. Gradients and the rate of learning are next to nothing
then. No penalty can move a layer that has fallen below its target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurosparse.probe.nonlinear import listening
from neurosparse.probe.tokens import Masks
from neurosparse.sparsify.aside import Run, aside, same_everywhere
from neurosparse.sparsify.penalty import Counted, Tap, share
from neurosparse.sparsify.sites import Site, Trace, heard_names

SHIFTED = 0.1  # of the shift that would reach the share at once, at a look
ROUNDS = 24  # at the end, of networks with batch norm


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """The share of samples for which units of a layer are to be active, and which units."""

    share: float
    units: Tensor | None = None  # (n_units,) of bool; None: all
    alone: bool = False  # by the inputs of each unit, of which there must be many


def shift_for(before: Tensor, share: float, *, alone: bool = False) -> Tensor:
    """Return what to add to the input of a rectifier so that each unit is active for a share.

    The inputs of a unit are put at mean 0 and deviation 1; the quantile is that of all units
    together, so that few samples do. A unit whose inputs never come so high stays silent then.

    Parameters
    ----------
    before : tensor, shape (n_samples, n_units)
        The inputs as they are.
    share
        In (0, 1).
    alone
        Take the quantile of each unit's own inputs.

    Returns
    -------
    tensor, shape (n_units,)

    Examples
    --------
    >>> before = torch.linspace(0, 1, 101)[:, None]
    >>> round(float(((before + shift_for(before, 0.1)) > 0).double().mean()), 2)
    0.1
    """
    before = before.float()
    mean, deviation = before.mean(0), before.std(0, correction=0)
    standard = (before - mean) / deviation.clamp_min(1e-12)
    standard = standard if alone else standard.flatten()
    place = min(max(round((1 - share) * len(standard)), 1), len(standard))
    # a unit that is the same for all samples is put just above 0
    return -(mean + standard.kthvalue(place, 0).values * deviation) + 1e-6 * (deviation == 0)


def wanted_of(
    taps: Mapping[str, Tap],
    units: Mapping[str, Tensor],
    shares: Mapping[str, float],
    *,
    alone: bool,
) -> dict[Site, Wanted]:
    """Return what is wanted of some units of layers, without layers whose bias cannot be set."""
    return {
        taps[name].site: Wanted(shares[name], of_layer, alone)
        for name, of_layer in units.items()
        if taps[name].site.settable is not None
    }


def set_biases(
    model: nn.Module, run: Run, wanted: Mapping[Site, Wanted], masks: Masks | None = None
) -> None:
    """Shift the biases before layers, first to last, each as the layers before it are by then.

    Parameters
    ----------
    model
        The network.
    run
        Runs it on a batch.
    wanted
        The layers, and what is wanted of each.
    masks
        The attention masks of the batch: padded tokens are no samples.

    Raises
    ------
    ValueError
        Where nothing that can be shifted goes into a layer, or what is frozen.
    """
    for site in wanted:
        if site.settable is None:
            kind = "no" if site.bias is None else "a frozen"
            raise ValueError(
                f"layer {site.name!r} has {kind} bias of {site.n_units} units before it to be set:"
                " leave it out of layers=..., or leave start_active out"
            )
    done: set[int] = set()
    for site, want in wanted.items():
        if (bias := site.settable) is None or id(bias) in done:
            continue
        done.add(id(bias))
        if (inputs := _inputs_of(model, run, site, masks or {})) is None:
            continue
        shift = shift_for(inputs, want.share, alone=want.alone).to(bias)
        if want.units is not None:
            shift = torch.where(want.units.to(shift.device), shift, torch.zeros_like(shift))
        bias.data.add_(shift)
    same_everywhere([site.settable.data for site in wanted if site.settable is not None])


def settle_biases(
    taps: Mapping[str, Tap], counted: Mapping[str, Counted], wanted: Mapping[str, float]
) -> None:
    """Shift the biases before layers a part of the way to the share that is wanted.

    Above 0 the inputs of a rectifier fall off about as an exponential does. Then a shift by d
    multiplies the active share by exp(d / m), where m is the mean of what is active. `SHIFTED` of
    that d is added to every bias of a layer.

    Parameters
    ----------
    taps
        The layers, with what their last passes put out.
    counted
        What they counted. A layer in which nothing is active stays as it is.
    wanted
        The share that is wanted, of some of the layers. Those with a frozen bias stay as they are.
    """
    shifted = []
    for name, (on, n) in counted.items():
        site, magnitude, active = taps[name].site, taps[name].magnitude, share(on, n)
        if name not in wanted or not active or magnitude is None:
            continue
        if (bias := site.settable) is not None and site.rectifies:
            m = float(magnitude) / (active * site.n_units)
            bias.data.add_(SHIFTED * m * math.log(wanted[name] / active))
            shifted.append(bias.data)
    same_everywhere(shifted)


def settle_at_last(
    taps: Mapping[str, Tap],
    count: Callable[[], Mapping[str, Counted]],
    wanted: Mapping[str, float],
    wake: Callable[[Mapping[str, Tensor]], None] | None = None,
) -> None:
    """Settle the biases in several rounds, and keep for each layer those that came nearest.

    They come ever nearer, but for units that have the same input for many samples, such as an empty
    background: such a unit jumps between all and nothing. The first half of the rounds is not
    kept, for the layers before still move in it.

    Parameters
    ----------
    taps
        The layers.
    count
        Runs the network as it is by then, and returns what the taps counted.
    wanted
        The share that is wanted of each layer.
    wake
        Sets the biases of units anew, given as masks by layer: of those that are active for no
        sample in evaluation, though they may be in training. None where no unit is to be revived.
    """
    nearest: dict[str, tuple[float, Tensor]] = {}
    for k in range(ROUNDS):
        counted = count()
        silent = {name: on == 0 for name, (on, _) in counted.items() if not on.all()}
        if wake is not None and silent:
            wake(silent)
            counted = count()
        for name, (on, n) in counted.items():
            bias, active = taps[name].site.settable, share(on, n)
            off = abs(math.log(active / wanted[name])) if active else math.inf
            if bias is not None and 2 * k >= ROUNDS and off < nearest.get(name, (math.inf,))[0]:
                nearest[name] = off, bias.detach().clone()
        settle_biases(taps, counted, wanted)
    for name, (_, bias_then) in nearest.items():
        bias = taps[name].site.bias
        assert bias is not None
        bias.data.copy_(bias_then)


def _inputs_of(model: nn.Module, run: Run, site: Site, masks: Masks) -> Tensor | None:
    """Return what goes into a layer in a pass, shape (n_samples, n_units); None where nothing."""
    trace, found = Trace(model), list[Tensor]()

    def keep(name: str, output: Tensor, _axis: int) -> None:
        same = name.partition("#")[0] == site.name.partition("#")[0]
        if same and site.owns(trace.call_of(site.module, output)):
            found.append(trace.inputs[id(output)])

    with aside(model), trace, listening(model, keep, heard_names([site.name]), live=True):
        run()
    if not found:  # no sample of this batch reached it
        return None
    rows = found[0].movedim(site.axis, -1)
    if site.tokens is not None and masks:
        return rows[site.tokens.kept(masks, rows.shape[:-1]).to(rows.device)]
    return rows.reshape(-1, site.n_units)
