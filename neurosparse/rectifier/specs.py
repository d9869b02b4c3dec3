"""Networks and their training as typed specs: pydantic alone, no torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neurosparse.recipes import Seed, Spec

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class NetworkSpec(Spec):
    """A fully connected network: what `RectifierNetwork` is built from.

    Parameters
    ----------
    sizes
        Inputs, the width of each hidden layer, classes. The default is the MNIST network of Glorot,
        Bordes & Bengio 2011.
    activation
        The non-linearity of every hidden layer: max(0, z), ln(1 + exp(a z)) / a, tanh z or 1 / (1 +
        exp -z).
    initialisation
        "glorot2010": weights uniform in +-g sqrt(6 / (fan_in + fan_out)), with g = 4 for the
        sigmoid and 1 otherwise (Glorot & Bengio 2010, eq. 16). The factor 4 makes up for the
        sigmoid's slope of 1/4 at 0. "he2015": uniform in +-sqrt(6 / fan_in) (He et al. 2015, eq.
        10). "lecun1998": uniform in +-sqrt(3 / fan_in), of variance 1 / fan_in (LeCun et al. 1998,
        Efficient BackProp, eq. 16). Biases start at 0.
    sharpness
        The a of the softplus, which tends to the rectifier as a grows (Glorot, Bordes & Bengio
        2011, table 1, NORB: 1, 3 and 6).
    mirrored
        Whether the second half of the units of every hidden layer put out minus their activation,
        as in the paper's networks. The next layer's inputs are not all positive then. The same
        function as that of a network with the weights of those units turned round
        (`rectifier.network.folded`).
    """

    sizes: Annotated[tuple[Width, ...], Field(min_length=3)] = (784, 1000, 1000, 1000, 10)
    activation: Literal["rectifier", "softplus", "tanh", "sigmoid"] = "rectifier"
    initialisation: Literal["glorot2010", "he2015", "lecun1998"] = "glorot2010"
    sharpness: Annotated[float, Field(gt=0)] = 1.0
    mirrored: bool = False

    @model_validator(mode="after")
    def _only_softplus_is_sharp(self) -> Self:
        if self.sharpness != 1 and self.activation != "softplus":
            raise ValueError(
                f"sharpness is of the softplus alone, got {self.sharpness:g} for"
                f" {self.activation!r}"
            )
        return self

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the hidden layers, "hidden1" onwards."""
        return tuple(f"hidden{k}" for k in range(1, len(self.sizes) - 1))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights by name.

        It is what a file must hold, known before memory is asked for.
        """
        names = [*(f"linear{k}" for k in range(1, len(self.sizes) - 1)), "output"]
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (fan_in, fan_out) in zip(names, pairwise(self.sizes), strict=True):
            shapes |= {f"{name}.weight": (fan_out, fan_in), f"{name}.bias": (fan_out,)}
        return shapes


class AugmentationSpec(Spec):
    """The way in which training images are altered, anew for each epoch.

    Validation and test images never are (`data.augmentation`).

    Parameters
    ----------
    flipped
        The probability that an image is mirrored left to right: for things, not for digits.
    shifted
        The probability that an image is moved.
    shift_px
        By how many pixels at most along each axis.
    """

    flipped: Annotated[float, Field(ge=0, le=1)] = 0.0
    shifted: Annotated[float, Field(ge=0, le=1)] = 0.0
    shift_px: Annotated[int, Field(ge=1)] = 1


class TrainSpec(Spec):
    """A network and its training by plain stochastic gradient descent.

    Same spec, same platform, same numbers.

    Parameters
    ----------
    network
        The network.
    data
        The name of the image set (`neurosparse.data.load`).
    epochs
        Passes over the training images.
    batch_size
        Images a step; what is left over at the end of an epoch makes a smaller last batch.
    learning_rate
        Of every step; of the first half of the training alone where `learning_rate_end` is given.
    l1
        Weight of the penalty on activations. The loss of a minibatch is the *mean over its images*
        of the negative log-likelihood plus `l1` times the *sum over all units of all hidden layers*
        of abs(activation). The paper does not spell its convention out, but this one fits. A weight
        of 0.001 turns 56 to 59 % of zeros into 76 to 82 % on the 5,000 digits (83.4 % in the paper,
        on all of MNIST). Averaged over the units of a layer, 0.001 changes nothing that can be
        measured.
    active_threshold
        A unit counts as active for an image where abs(activation) exceeds this; see
        `neurosparse.ActiveWhen`.
    seed
        Of the initial weights and of the order of the images.
    learning_rate_end
        What the learning rate falls to, linearly over the second half of the training.
    target_active
        The share of active (non-zero) units to reach, as a mean over the network (0.04: 4 % of its
        units) or one for each hidden layer. A controller then sets the `l1` of each layer as it
        goes (`rectifier.controller`); `l1` is where it starts, with 0 for 0.0001. The network is
        that of the last epoch.
    target_falloff
        Where `target_active` is one number: each layer's share is this times that of the layer
        below. A value of 0.38 makes 4 % in three layers of one width 7.8, 3.0 and 1.1 %. A value of
        1 gives every layer the same.
    target_start
        The share that every layer is steered to at first; it then moves geometrically to the
        layer's target.
    target_reached
        The part of the training after which the target stands still.
    average_last
        The part of the training, at its end, over which the weights are averaged; the average is
        the network. 0: no average.
    patience
        How many epochs in a row may be no better than the best (by validation error or, of equals,
        validation loss) before the training stops. None: all epochs. Not together with
        `target_active` and `average_last`, whose plans need them all.
    augmentation
        How the training images are altered in each epoch; None: not at all.
    label_smoothing
        The share of each label that is spread evenly over the classes (Szegedy et al. 2016). The
        losses that are reported are those of the labels as they are.
    dropout
        The share of the units of each hidden layer that is left out for an image, by chance, while
        the network learns (Srivastava et al. 2014). The others are divided by 1 - `dropout`.
        `target_active` counts units before they are left out; the penalty is on those that stay.
    weight_decay
        Weights, not biases, shrink by the factor 1 - (learning rate) `weight_decay` a step, apart
        from the gradient (Loshchilov & Hutter 2019). It is done for up to 100 steps at once.
    engine
        What does the steps: "sparse" (the active units alone, in numba), "torch", or "auto": sparse
        where it can (`rectifier.sparse_training`), and torch elsewhere. Both give the same numbers
        but for the rounding of float32.
    """

    network: NetworkSpec = NetworkSpec()
    data: str = "mnist5k"
    epochs: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=1)] = 10
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    l1: Annotated[float, Field(ge=0)] = 0.0
    active_threshold: Annotated[float, Field(ge=0)] = 0.0
    seed: Seed = 0
    learning_rate_end: Annotated[float, Field(gt=0)] | None = None
    target_active: Share | tuple[Share, ...] | None = None
    target_falloff: Share = 0.38
    target_start: Share = 0.4
    target_reached: Annotated[float, Field(gt=0, le=1)] = 0.5
    average_last: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: Annotated[int, Field(ge=1)] | None = None
    augmentation: AugmentationSpec | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    engine: Literal["auto", "sparse", "torch"] = "auto"

    @model_validator(mode="after")
    def _decay_leaves_something(self) -> Self:
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                "weight_decay must be below 1 / learning_rate, or no weight is left, got"
                f" {self.weight_decay} with learning_rate = {self.learning_rate}"
            )
        return self

    @model_validator(mode="after")
    def _patience_leaves_plans_alone(self) -> Self:
        if self.patience is not None and (self.average_last or self.target_active is not None):
            planned = "target_active" if self.target_active is not None else "average_last"
            raise ValueError(
                f"patience must be left out beside {planned}, whose plan needs all epochs, got"
                f" {self.patience}"
            )
        return self

    @model_validator(mode="after")
    def _target_can_be_met(self) -> Self:
        if self.target_active is None:
            return self
        if self.network.activation != "rectifier":
            raise ValueError(
                f"target_active needs activation = 'rectifier', got {self.network.activation!r}:"
                " only it is silent"
            )
        targets = self.targets
        if len(targets) != len(self.network.layers):
            raise ValueError(
                f"target_active must be one share, or one for each of {len(self.network.layers)}"
                f" hidden layers, got {len(targets)}"
            )
        if max(targets) > 1:
            raise ValueError(
                "target_active must leave no layer more than wholly active, got"
                f" {self.target_active}, which with target_falloff = {self.target_falloff} is"
                f" {targets[0]:.3g} of the first; use a larger target_falloff or one share for each"
                " layer"
            )
        return self

    @property
    def sparsity(self) -> dict[str, float | None]:
        """Cause of its networks' sparsity, for a provenance.

        "steered to": the share of active units, None where it was left free; "penalty": the L1.
        """
        widths = self.network.sizes[1:-1]
        reached = (
            sum(t * w for t, w in zip(self.targets, widths, strict=True)) if self.targets else 0
        )
        return {
            "steered to": round(reached / sum(widths), 12) if self.targets else None,
            "penalty": self.l1,
        }

    @property
    def targets(self) -> tuple[float, ...]:
        """The share of active units that each hidden layer is to reach; empty without a target."""
        if self.target_active is None or isinstance(self.target_active, tuple):
            return self.target_active or ()
        widths = self.network.sizes[1:-1]
        shares = [self.target_falloff**k for k in range(len(widths))]
        mean = sum(share * width for share, width in zip(shares, widths, strict=True)) / sum(widths)
        return tuple(self.target_active * share / mean for share in shares)


class PretrainSpec(Spec):
    """A network and its pre-training: same spec, same platform, same numbers.

    Parameters
    ----------
    network
        The network.
    data
        The name of the image set (`neurosparse.data.load`); its training images alone are used,
        without their labels.
    reconstruction
        One of the costs that `rectifier.pretraining` lists. "cross_entropy" is for tanh and sigmoid
        networks and their default; the others are for rectifiers and softplus, and "softplus" is
        theirs.
    corruption
        The probability with which an input is set to 0.
    epochs
        Passes over the training images, for each layer.
    batch_size
        Images a step.
    learning_rate
        Of every step.
    l1
        Weight of the penalty on the layer's activations, as in `TrainSpec`.
    seed
        Of the initial weights, of the order of the images and of the corruption.
    """

    network: NetworkSpec = NetworkSpec()
    data: str = "mnist5k"
    reconstruction: Literal["softplus", "scaled", "linear", "rectifier", "cross_entropy"] | None = (
        None
    )
    corruption: Annotated[float, Field(ge=0, lt=1)] = 0.25
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 10
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    l1: Annotated[float, Field(ge=0)] = 0.0
    seed: Seed = 0

    @model_validator(mode="after")
    def _reconstruction_suits_the_activation(self) -> Self:
        bounded = self.network.activation in ("tanh", "sigmoid")
        if self.reconstruction is not None and bounded != (self.reconstruction == "cross_entropy"):
            suits = (
                "'cross_entropy'" if bounded else "'softplus', 'scaled', 'linear' or 'rectifier'"
            )
            raise ValueError(
                f"reconstruction must be {suits} for a network of {self.network.activation!r}, got"
                f" {self.reconstruction!r}"
            )
        return self

    @property
    def cost(self) -> str:
        """The reconstruction, the default spelled out."""
        bounded = self.network.activation in ("tanh", "sigmoid")
        return self.reconstruction or ("cross_entropy" if bounded else "softplus")
