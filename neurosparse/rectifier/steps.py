"""One step of gradient descent, with an L1 penalty on the activations.

Every weight is read and written once a step, and with minibatches of 10 that traffic is the cost. So the gradient is written
out by hand and goes straight into the weights (`addmm_`), without the gradient matrices that autograd and an optimiser would
write and read again. The tests hold it to autograd with torch.optim.SGD.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from neurosparse.rectifier.network import RectifierNetwork

# The slope of each activation, from its value h
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "rectifier": lambda h: h > 0,
    "softplus": lambda h: -torch.expm1(-h),
    "tanh": lambda h: 1 - h * h,
    "sigmoid": lambda h: h * (1 - h),
}


@torch.no_grad()
def sgd_step(
    network: RectifierNetwork, images: Tensor, labels: Tensor, *, learning_rate: float, l1: float = 0.0
) -> Tensor:
    """One step of gradient descent on a minibatch, in place.

    Parameters
    ----------
    images : tensor, shape (n, features)
    labels : tensor of int64, shape (n,)
    learning_rate
        The weights move by minus this times the gradient.
    l1
        Weight of the penalty: the gradient that each activation h gets besides is l1 sign(h) / n.

    Returns
    -------
    Tensor
        The mean negative log-likelihood before the step, without the penalty.
    """
    n = len(labels)
    linears, slope = network.linears(), _SLOPES[network.spec.activation]
    values = [images, *network.activations(images).values()]  # values[k] goes into linears[k]; the scores last
    log_likelihood = functional.log_softmax(values.pop(), dim=1)
    delta = log_likelihood.exp()  # (n, classes): d loss / d scores = (softmax - one-hot) / n
    delta[torch.arange(n, device=delta.device), labels] -= 1
    delta /= n
    for k in range(len(linears) - 1, -1, -1):
        weight, bias, below = linears[k].weight, linears[k].bias, values[k]
        delta_below = delta @ weight if k else None  # before the weight moves
        weight.addmm_(delta.t(), below, alpha=-learning_rate)
        bias.sub_(delta.sum(0), alpha=learning_rate)
        if delta_below is not None:
            delta = delta_below.add_(below.sign(), alpha=l1 / n).mul_(slope(below))
    return functional.nll_loss(log_likelihood, labels)
