"""A network of modules: side by side, each with all inputs and no connection to the others, their scores averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neurosparse.rectifier.network import RectifierNetwork


def joined(networks: Sequence[RectifierNetwork]) -> RectifierNetwork:
    """One network that holds several as its modules, with the mean of their scores.

    A unit is connected to those of its own module alone; the weights between modules are 0, and `evaluate` leaves them out of the
    active multiply-accumulates.

    Parameters
    ----------
    networks
        One or more, with as many layers, of one activation, not mirrored, with the same inputs and classes; they are left as they
        are.

    Returns
    -------
    RectifierNetwork
        Whose layers hold the units of the first network, then those of the second, and so on.

    Raises
    ------
    ValueError
        For networks that do not fit together.

    Examples
    --------
    >>> from neurosparse.rectifier import NetworkSpec
    >>> a, b = (RectifierNetwork(NetworkSpec(sizes=(4, 8, 2)), seed=seed) for seed in (1, 2))
    >>> x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    >>> both = joined([a, b])
    >>> both.spec.sizes, bool(torch.allclose(both(x), (a(x) + b(x)) / 2))
    ((4, 16, 2), True)
    """
    if not networks:
        raise ValueError("networks is empty: nothing to join")
    first = networks[0].spec
    inputs, *_, classes = first.sizes
    for network in networks:
        spec = network.spec
        if spec.mirrored:
            raise ValueError(
                "a mirrored network cannot be a module: which units are turned round depends on the width; fold it"
            )
        shape = (spec.sizes[0], len(spec.sizes), spec.sizes[-1], spec.activation, spec.sharpness)
        if shape != (inputs, len(first.sizes), classes, first.activation, first.sharpness):
            raise ValueError(
                "networks must be alike in inputs, number of layers, classes and activation, "
                f"got {first.sizes} {first.activation!r} and {spec.sizes} {spec.activation!r}"
            )
    widths = [sum(layer) for layer in zip(*(network.spec.sizes[1:-1] for network in networks), strict=True)]
    whole = RectifierNetwork(first.model_copy(update={"sizes": (inputs, *widths, classes)}))
    whole.to(next(networks[0].parameters())).train(networks[0].training)
    layers = list(zip(*(network.linears() for network in networks), strict=True))
    with torch.no_grad():
        for k, (linear, parts) in enumerate(zip(whole.linears(), layers, strict=True)):
            weights, biases = [part.weight for part in parts], [part.bias for part in parts]
            if k == 0:  # every module sees the inputs
                linear.weight.copy_(torch.cat(weights))
                linear.bias.copy_(torch.cat(biases))
            elif k < len(layers) - 1:
                linear.weight.copy_(torch.block_diag(*weights))
                linear.bias.copy_(torch.cat(biases))
            else:  # the mean of their scores
                linear.weight.copy_(torch.cat(weights, dim=1) / len(networks))
                linear.bias.copy_(torch.stack(biases).mean(dim=0))
    return whole
