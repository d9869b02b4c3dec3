"""Layers that were heard while a model ran on data; those that were not are refused or told."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import nn

from neurosparse.probe.layer_names import base, is_asked
from neurosparse.probe.monitor import Monitor
from neurosparse.probe.originals import plain_name
from neurosparse.probe.rectifiers import NON_LINEARITIES


def check(
    model: nn.Module, layers: Sequence[str] | None, fired: Mapping[str, int], monitor: Monitor
) -> None:
    """Refuse data on which nothing fired, or not all layers that were asked for.

    Such a layer has no activity, rather than none that is active. Where no layers were asked for,
    activations that were not called are told in a line. Experts that no sample reached are none of
    these.
    """
    modules = {plain_name(name): module for name, module in model.named_modules()}
    if layers is not None:
        _check_asked(model, layers, modules, fired, monitor)
        return
    unused = [
        name
        for name, module in modules.items()
        if name
        and isinstance(module, NON_LINEARITIES)
        and not _was_reached(name, modules, fired, monitor)
    ]
    if not fired:
        zeros = f" ({_with_zeros(monitor)})" if monitor.with_zeros else ""
        raise ValueError(
            f"{type(model).__name__} called none of torch's non-linearities, as a module or as a"
            f" function, so there is nothing to record{zeros}; name modules to record with"
            " layers=(...)"
        )
    if unused:
        _tell(f"activations that were not called, and have no activity: {', '.join(unused)}")


def unheard(model: nn.Module, layers: Sequence[str] | None, fired: Collection[str]) -> str:
    """Return what a pass lacks: layers that were asked for, or any at all; "" where nothing."""
    modules = [plain_name(name) for name, _ in model.named_modules() if name]
    unknown = [asked for asked in layers or () if not any(is_asked(n, [asked]) for n in fired)]
    if unknown and not (fired and {base(name) for name in unknown} <= set(modules)):
        return (
            f"no layer {', '.join(map(repr, unknown))} was heard, so it is not watched; the modules"
            f" are: {', '.join(modules)}"
        )
    if fired:
        return ""
    return (
        f"{type(model).__name__} called none of torch's non-linearities, so there is nothing to"
        " watch: name modules to watch with layers=(...)"
    )


def tell_zeros(monitor: Monitor) -> None:
    """Say which outputs with exact zeros were not counted, if there were any."""
    if monitor.with_zeros:
        _tell(f"{_with_zeros(monitor)}; name modules to count with layers=(...)")


def tell_padding(masks: Mapping[str, bool], unmasked: Iterable[str]) -> None:
    """Say which masks leave no padding out, since no layer was seen to put their tokens out."""
    unused = [name for name, is_used in masks.items() if not is_used]
    if unused and unmasked:
        _tell(
            f"padding is counted in {', '.join(sorted(unmasked))}: their samples are no tokens of"
            f" {' or '.join(unused)}, as far as is known"
        )


def tell_masks_of_call(masks: Collection[str]) -> None:
    """Say which masks of padding `forward` has made, which are not those of a batch."""
    if masks:
        _tell(
            f"padding is counted: forward calls the model with {' and '.join(sorted(masks))}, which"
            " no batch has under that name; pass mask=..., or dicts as batches"
        )


def sibling_of(name: str, modules: Mapping[str, nn.Module], fired: Mapping[str, int]) -> str | None:
    """Return the layer that has fired at the same place of another entry of a list of modules."""
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        above = modules.get(".".join(parts[:k]))
        if not isinstance(above, nn.ModuleList | nn.ModuleDict):
            continue
        for other in above._modules:
            found = ".".join([*parts[:k], other, *parts[k + 1 :]])
            if other != parts[k] and fired.get(found):
                return found
    return None


def _check_asked(
    model: nn.Module,
    layers: Sequence[str],
    modules: Mapping[str, nn.Module],
    fired: Mapping[str, int],
    monitor: Monitor,
) -> None:
    names = monitor.final_names()
    for name in layers:
        if any(is_asked(each, [name]) for each in names) or (
            _was_reached(name, modules, fired, monitor)
        ):
            continue
        if base(name) in map(base, names):
            raise ValueError(
                f"no layer {name!r} was heard; of that name there are:"
                f" {', '.join(each for each in names if base(each) == base(name))}"
            )
        if name not in modules:
            raise ValueError(
                f"no layer {name!r} in {type(model).__name__}; its modules are:"
                f" {', '.join(filter(None, modules))}"
            )
        raise ValueError(
            f"layer {name!r} was not called in the forward pass, so it has no activity; "
            "name those to record with layers=(...)"
        )


def _was_reached(
    name: str, modules: Mapping[str, nn.Module], fired: Mapping[str, int], monitor: Monitor
) -> bool:
    return bool(fired.get(name) or name in monitor.of_weights or sibling_of(name, modules, fired))


def _with_zeros(monitor: Monitor) -> str:
    shown = ", ".join(f"{name} ({100 * s:.0f} %)" for name, s in monitor.with_zeros.items())
    return f"outputs with exact zeros that were not counted: {shown}"


def _tell(line: str) -> None:
    warnings.warn(line, UserWarning, stacklevel=6)
