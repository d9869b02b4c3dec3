"""The sparsity of any torch module steered while it trains, in anybody's loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse.activity import ActiveWhen
from neurosparse.activity.given import check_active_when
from neurosparse.probe.originals import check_followed, unwrapped
from neurosparse.sparsify.aside import running_on_data
from neurosparse.sparsify.controller import Plan
from neurosparse.sparsify.settings import Settings
from neurosparse.sparsify.sparsifier import Sparsifier

__all__ = ["Sparsifier", "sparsify"]


def sparsify(
    model: nn.Module,
    target: float | Mapping[str, float] | None = None,
    *,
    l1: float | Mapping[str, float] | None = None,
    top_k: float | Mapping[str, float] | None = None,
    layers: Sequence[str] | None = None,
    steps: int = 1000,
    reached: float = 0.6,
    start: float | None = None,
    start_active: float | None = None,
    revive: bool = False,
    dead_after: int = 20,
    active_when: ActiveWhen | None = None,
    data: object = None,
) -> Sparsifier:
    """Steer the share of a network's units that is active, in anybody's training loop.

    Add `penalty()` to the loss before `backward()`, and call `step()` after each step of the
    optimizer. Exactly one of `target`, `l1` and `top_k` says how. Tokens that are 0 in an
    `attention_mask` among the model's inputs are not counted and have no penalty; nor are those of
    a decoder that are 0 in its `decoder_attention_mask`, or without one have the label -100.

    Parameters
    ----------
    model
        The module that the loop calls. It may be compiled or wrapped before or after.
    target
        The share of each layer's units that is to be active, in (0, 1), or one for each layer
        named. The weight of each layer's L1 penalty is steered to it. In the last tenth of the
        training the biases before each rectifier are shifted towards it too, with batch norm by
        what is active in evaluation. Frozen ones stay as they are.
    l1
        A weight of the L1 penalty that stays. The penalty of a layer is the sum of abs(a) over its
        units, a mean over samples (inputs, and their positions or tokens).
    top_k
        The share of each layer's units that is kept for each sample, the largest; the others are 0,
        in training and after, until `remove()`.
    layers
        The layers, as `ns.measure` names them; modules of any kind. By default every rectifier.
        "relu" stands for "relu", "relu#2" and so on, where these are not named themselves.
    steps
        Steps of the optimizer in the whole training; the weights are set 350 times in it.
    reached
        The part of them, in (0, 1], after which `target` is to hold. Until then it falls
        geometrically.
    start
        Where it falls from, at most: a layer in which the first look finds less falls from there.
    start_active
        Set the biases before each layer once, from a batch, so that its units are active for this
        share of samples. A share of 0.10 keeps more units alive than the usual start, at about
        0.50.
    revive
        Set the biases of dead units anew, so that they are active for the target's share. Where
        there is none, or a frozen one, they stay dead, with a warning.
    dead_after
        A unit is dead which was active for no sample between so many looks.
    active_when
        A threshold; 0 by default. For layers that are never exactly 0 name a higher one. It is not
        relative.
    data
        A batch of inputs, a tensor or a dict, to find the layers with. By default the first batch
        that is trained on; a model that is compiled with fullgraph=True needs it here.

    Returns
    -------
    Sparsifier

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range, or a layer does not exist; without `data` at the first
        pass.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> s = sparsify(model, target=0.25, steps=100)
    >>> for _ in range(100):
    ...     loss = (model(torch.randn(32, 4)) - 1).square().mean() + s.penalty()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     s.step()
    >>> list(s.active), s.n_steps
    (['1'], 100)
    """
    check_followed(model)
    ways = {"target": target, "l1": l1, "top_k": top_k}
    given = {name: value for name, value in ways.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "pass exactly one of target (a share to be reached), l1 (a penalty that stays) and"
            f" top_k (a share to keep), got {', '.join(given) or 'none'}"
        )
    ((way, value),) = given.items()
    layers = _names(layers, value)
    for share in _values(value):
        if way == "l1":
            checks.not_negative("l1", share)
        else:
            _share(way, share)
    active_when = ActiveWhen(threshold=0) if active_when is None else active_when
    check_active_when(active_when)
    if active_when.threshold is None:
        raise ValueError(
            f"active_when must have a threshold to steer a network, got {active_when.describe()!r}"
        )
    if active_when.relative:
        raise ValueError(
            f"active_when must have a threshold in the units of the layers to steer them, got"
            f" {active_when.describe()!r}: leave relative out"
        )
    for name, part in (("start", start), ("start_active", start_active)):
        if part is not None:
            _share(name, part)
    if not 0 < checks.number("reached", reached) <= 1:
        raise ValueError(f"reached must lie in (0, 1], got {reached}")
    plan = Plan({}, checks.whole("steps", steps), reached, start or start_active)
    settings = Settings(
        way=way,
        value=value if isinstance(value, Mapping) else float(value),
        layers=layers,
        threshold=active_when.threshold,
        start_active=start_active,
        revive=revive,
        dead_after=checks.whole("dead_after", dead_after),
    )
    sparsifier = Sparsifier(unwrapped(model), plan, settings)
    if data is not None:
        try:
            with running_on_data(model):
                sparsifier.prepare(*as_call(data))
        except BaseException:  # nobody holds what could be removed
            sparsifier.remove()
            raise
    return sparsifier


def _names(layers: Sequence[str] | None, value: object) -> Sequence[str] | None:
    """Return the layers that are named, by themselves or with their values."""
    if layers is not None and (isinstance(layers, str) or not layers):
        raise ValueError(f"layers must be a sequence of at least one name, got {layers!r}")
    if not isinstance(value, Mapping):
        return layers
    if layers is not None and set(layers) != set(value):
        raise ValueError(f"layers {list(layers)} are not those that have values: {list(value)}")
    if not value:
        raise ValueError("a dict of layers must name at least one, got {}")
    return list(value)


def _values(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _share(name: str, value: Any) -> float:
    if not 0 < checks.number(name, value) < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    return float(value)


def as_call(data: object) -> tuple[tuple[Any, ...], Fields]:
    """Return a batch as the arguments of a call."""
    if isinstance(data, Mapping):
        return (), dict(data)
    if isinstance(data, tuple | list):
        return (data[0],), {}
    if not isinstance(data, torch.Tensor):
        raise checks.wrong_kind("data", "one batch, a tensor or a dict", data)
    return (data,), {}
