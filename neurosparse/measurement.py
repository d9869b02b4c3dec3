"""One question for everything.

`measure` takes spikes, a record of activations, or a network with data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Unpack, overload

from neurosparse import interop
from neurosparse._internal import checks
from neurosparse.activity import (
    Activations,
    ActiveWhen,
    ActivityStats,
    LayerStats,
    SpikeTrains,
    refuse_implausible,
)
from neurosparse.activity.given import check_active_when
from neurosparse.sparsity import describe_activations, describe_spikes, with_missed


@overload
def measure(
    what: SpikeTrains,
    *,
    active_when: ActiveWhen,
    name: str = ...,
    provenance: Mapping[str, object] | None = ...,
    missed_below_hz: float | None = ...,
) -> ActivityStats: ...
@overload
def measure(
    what: Activations,
    *,
    active_when: ActiveWhen | None = ...,
    provenance: Mapping[str, object] | None = ...,
) -> ActivityStats: ...
@overload
def measure(
    what: object,
    *,
    active_when: ActiveWhen,
    name: str = ...,
    provenance: Mapping[str, object] | None = ...,
    missed_below_hz: float | None = ...,
    **options: Unpack[interop.Options],
) -> ActivityStats: ...
@overload
def measure(
    what: object,
    data: object,
    *,
    active_when: ActiveWhen,
    name: str = ...,
    provenance: Mapping[str, object] | None = ...,
    layers: Sequence[str] | None = ...,
    batch_size: int | None = ...,
    forward: Callable[[Any, Any], Any] | None = ...,
    mask: object = ...,
    units_axis: int | Mapping[str, int] | None = ...,
) -> dict[str, ActivityStats]: ...
def measure(
    what: Any,
    data: Any = None,
    *,
    active_when: ActiveWhen | None = None,
    name: str = "",
    provenance: Mapping[str, object] | None = None,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    mask: Any = None,
    units_axis: int | Mapping[str, int] | None = None,
    missed_below_hz: float | None = None,
    **options: Unpack[interop.Options],
) -> Any:
    """Measure how sparse something is.

    Parameters
    ----------
    what : SpikeTrains, Activations, spikes of any tool, or a torch module
        What was observed, or a network to observe. `as_spikes` names the tools.
    data
        For a torch module: its inputs, as one tensor or array, or as an iterable of batches.
    active_when
        What "active" means: a window for spikes, a threshold for activations. A record of
        activations carries its own.
    name
        How the result is called in tables and figures; for a module a prefix of its layers' names.
    provenance
        Where this came from: recipe, seed, version. Travels with the result.
    layers, batch_size, forward, mask, units_axis
        For a torch module. They are the layers to measure, samples at a time, how the model is
        called on a batch, which tokens count, and which axis holds the units. See
        `neurosparse.probe.record`.
    missed_below_hz
        For sorted recordings: cells that fire more rarely are not in the record. The statistics
        then also hold the active fraction with them (`sparsity.with_missed`).
    **options
        For spikes of other tools: what only you can say of them, as `as_spikes` takes it, such as
        `duration_ms` or `n_units`.

    Returns
    -------
    ActivityStats; for a torch module a dict of them by layer. Both print as a table.

    Raises
    ------
    ValueError, TypeError
        Where there is no definition of "active", or nothing was active to measure, or `what` is
        none of the three. Where times off a grid look like another unit (see
        `activity.plausibility`).

    Examples
    --------
    >>> spikes = SpikeTrains([1.0, 6.0], [0, 1], n_units=4, duration_ms=10.0, dt_ms=1.0)
    >>> measure(spikes, active_when=ActiveWhen(window_ms=10)).active_fraction
    0.5
    """
    of_networks = {
        "layers": layers,
        "batch_size": batch_size,
        "forward": forward,
        "mask": mask,
        "units_axis": units_axis,
    }
    kind = type(what).__name__
    if isinstance(what, str | PathLike) and data is not None:
        raise ValueError(
            f"data are inputs of a network, and {what} is a file: load its weights into the model"
            " (load_state_dict) and pass that, or use `neurosparse measure MODULE:FUNCTION"
            " --weights FILE`"
        )
    if _is_state(what, data):
        raise TypeError(
            f"this {kind} holds the weights of a network: load them into the model"
            " (load_state_dict) and pass that"
        )
    if active_when is not None:
        check_active_when(active_when)
    spiking = interop.can_read(what)
    for option, value in of_networks.items() if spiking or isinstance(what, Activations) else ():
        if value is not None:
            raise ValueError(
                f"{option} is for networks, got {option}={value!r} for {kind}: leave it out"
            )
    if options and not spiking:
        raise ValueError(f"{min(options)} is for spikes of other tools, not for {kind}")
    if missed_below_hz is not None and not spiking:
        raise ValueError(f"missed_below_hz is for spikes, not for {kind}: leave it out")
    if missed_below_hz is not None:
        checks.positive("missed_below_hz", missed_below_hz)
    if isinstance(what, Activations):
        if active_when is not None and active_when != what.active_when:
            raise ValueError(
                f"these activations were recorded with {what.active_when.describe()!r} and cannot"
                f" be measured with {active_when.describe()!r}: record them again"
            )
        return describe_activations(what, provenance=provenance)
    if active_when is None:
        raise ValueError(
            "pass active_when=ActiveWhen(...): no active fraction exists without a window or a"
            " threshold"
        )
    if spiking:
        if data is not None:
            raise ValueError(
                f"data are inputs of a network, and a {kind} holds spikes: leave it out"
            )
        spikes = interop.as_spikes(what, **options)
        if spikes.dt_ms is None:  # on a grid that was stated, units of time are no accident
            refuse_implausible(spikes)
        source = provenance if spikes is what else {"object": kind, **(provenance or {})}
        stats = describe_spikes(spikes, active_when, name=name or "spikes", provenance=source)
        return stats if missed_below_hz is None else with_missed(stats, missed_below_hz)
    if not hasattr(what, "forward") and type(what).__name__ != "ExportedProgram":
        raise TypeError(
            f"cannot measure {checks.kind_of(what)}: pass spikes of any tool (`as_spikes`),"
            " Activations, or a torch module with data"
        )
    if data is None:
        raise ValueError(
            "a network needs inputs to be measured on: measure(model, data, active_when=...)"
        )
    from neurosparse.probe.record import record  # torch is slow to import and only networks need it

    records = record(what, data, active_when, **of_networks)
    prefix = f"{name} " if name else ""
    return LayerStats(
        {
            layer: describe_activations(activations, name=f"{prefix}{layer}", provenance=provenance)
            for layer, activations in records.items()
        }
    )


def _is_state(what: object, data: object) -> bool:
    """Return whether an object is what `state_dict` of a torch module gives, or holds such a dict.

    A dict of tensors without inputs may also be spikes, an array of times a unit.
    """
    if not (isinstance(what, Mapping) and what):
        return False
    values = list(what.values())
    if any(_is_state(value, data) for value in values):
        return True
    if any(not type(value).__module__.startswith("torch") for value in values):
        return False
    return data is not None or any(getattr(value, "ndim", 1) > 1 for value in values)
