"""A network of modules side by side, their scores averaged.

Each has all inputs and no connection to the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neurosparse._internal import checks
from neurosparse.rectifier.network import RectifierNetwork
from neurosparse.rectifier.specs import NetworkSpec


def joined(networks: Sequence[RectifierNetwork]) -> RectifierNetwork:
    """Return one network that holds several as its modules, with the mean of their scores.

    A unit is connected to those of its own module alone; the weights between modules are 0, and
    `evaluate` leaves them out of the active multiply-accumulates.

    Parameters
    ----------
    networks
        One or more, with as many layers, of one activation, not mirrored, with the same inputs and
        classes; they are left as they are.

    Returns
    -------
    RectifierNetwork
        Whose layers hold the units of the first network, then those of the second, and so on.

    Raises
    ------
    ValueError
        For networks that do not fit together.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec
    >>> a, b = (RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)), seed=seed) for seed in (1, 2))
    >>> x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    >>> both = joined([a, b])
    >>> both.spec.sizes, bool(torch.allclose(both(x), (a(x) + b(x)) / 2))
    ((4, 16, 2), True)
    """
    networks = checks.instances("networks", networks, RectifierNetwork)
    if not networks:
        raise ValueError("networks is empty: nothing to join")
    first = networks[0].spec
    for network in networks:
        spec = network.spec
        if spec.mirrored:
            raise ValueError(
                "a mirrored network cannot be a module: which units are turned round depends on the"
                " width; fold it"
            )
        if _kind(spec) != _kind(first):
            raise ValueError(
                "networks must be alike in inputs, number of layers, classes and activation, "
                f"got {first.sizes} {first.activation!r} and {spec.sizes} {spec.activation!r}"
            )
    inputs, *_, classes = first.sizes
    widths = [
        sum(layer)
        for layer in zip(*(network.spec.sizes[1:-1] for network in networks), strict=True)
    ]
    whole = RectifierNetwork(first.model_copy(update={"sizes": (inputs, *widths, classes)}))
    whole.to(next(networks[0].parameters())).train(networks[0].training)
    *hidden, output = whole.linears()
    *below, scores = zip(*(network.linears() for network in networks), strict=True)
    with torch.no_grad():
        for k, (linear, parts) in enumerate(zip(hidden, below, strict=True)):
            side_by_side = torch.cat if k == 0 else _blocks  # every module sees the inputs
            linear.weight.copy_(side_by_side([part.weight for part in parts]))
            linear.bias.copy_(torch.cat([part.bias for part in parts]))
        output.weight.copy_(torch.cat([part.weight for part in scores], dim=1) / len(networks))
        output.bias.copy_(torch.stack([part.bias for part in scores]).mean(dim=0))
    return whole


def _kind(spec: NetworkSpec) -> tuple[object, ...]:
    return spec.sizes[0], len(spec.sizes), spec.sizes[-1], spec.activation, spec.sharpness


def _blocks(weights: list[Tensor]) -> Tensor:
    result: Tensor = torch.block_diag(*weights)
    return result
