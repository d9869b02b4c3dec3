"""Training on of a network that is to spike.

It has quantised rectifiers, rates of LIF cells, or is as `to_rate` gives it.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from neurosparse._internal import checks
from neurosparse.convert import tracing
from neurosparse.convert.runs import as_inputs_of, as_labels
from neurosparse.progress import Progress, quiet
from neurosparse.recipes import Spec
from neurosparse.sparsify import copies

M = TypeVar("M", bound=nn.Module)


class Tuning(Spec):
    """Settings of `tune`: Adam, the learning rate falling to 0 along a cosine.

    It falls epoch by epoch.

    Parameters
    ----------
    epochs, batch_size, learning_rate
        The learning rate is that of the first epoch.
    seed
        Of the order of the images.
    """

    epochs: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=1)] = 50
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def tune(
    model: M,
    images: object,
    labels: object,
    spec: Tuning | None = None,
    *,
    progress: Progress = quiet,
) -> M:
    """Train a copy of a classifier on for a few epochs, on the mean cross-entropy.

    Parameters
    ----------
    model
        Any module with gradients; it is left as it is.
    images : tensor, array or ImageSet, shape (n, ...)
        The inputs to train on.
    labels : tensor or array of int, shape (n,)
        The class of each image.
    spec
        How to train.
    progress
        Told how far it is.

    Returns
    -------
    Module
        In evaluation mode.

    Raises
    ------
    ValueError, TypeError
        Where images and labels are none or not alike in number, where labels are no whole numbers,
        where the model does not run on the images, and where the loss is no longer finite.

    Examples
    --------
    >>> from neurosparse.convert.quantised import quantise
    >>> _ = torch.manual_seed(1)
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> x = torch.rand(64, 2)
    >>> for_4_steps = tune(quantise(model, x, levels=4), x, (x[:, 0] > x[:, 1]).long(), Tuning(epochs=1))
    """  # noqa: E501
    spec = Tuning() if spec is None else spec
    checks.instance("spec", spec, Tuning)
    tuned = copies.copied(model).eval()
    x = as_inputs_of(tuned, images, "images")
    y = as_labels(labels, len(x), x.device)
    kind, found = type(tuned).__name__, tracing.outputs_of(tuned, x[:1])
    if not isinstance(found, Tensor) or found.ndim != 2:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"{kind} must put out one tensor of shape (n, classes), got {shape}")
    checks.classes(y, found.shape[1])
    tuned.train()
    trained = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(f"all of {kind} is frozen: use requires_grad_(True) on what is to learn")
    optimiser = torch.optim.Adam(trained, lr=spec.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, spec.epochs)
    generator = torch.Generator().manual_seed(spec.seed)
    for epoch in range(spec.epochs):
        total = 0.0
        for rows in torch.randperm(len(y), generator=generator).to(y.device).split(spec.batch_size):
            optimiser.zero_grad()
            with tracing.running_on(tuned, x[rows]):
                outputs = tuned(x[rows])
            loss = functional.cross_entropy(outputs, y[rows])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        if not total < float("inf"):
            raise ValueError(
                f"training diverged in epoch {epoch + 1}: use a learning_rate below"
                f" {spec.learning_rate:g}"
            )
        schedule.step()
        progress(
            (epoch + 1) / spec.epochs,
            f"epoch {epoch + 1}/{spec.epochs}, loss {total / len(y):.3g}",
        )
    return tuned.eval()
