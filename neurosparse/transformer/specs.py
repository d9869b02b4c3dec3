"""A character transformer and its training, as typed specs: pydantic alone, no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neurosparse.recipes import Spec

Size = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class TransformerSpec(Spec):
    """A transformer that predicts the next character from up to `context` characters before it.

    Parameters
    ----------
    alphabet
        Number of characters.
    d_model, layers, heads
        Width of a token, number of layers, attention heads a layer; the width is a multiple of the
        heads.
    d_ff
        Hidden units of each feed-forward block.
    context
        Characters that the network sees at most.
    activation
        Of the feed-forward blocks: "relu", whose zeros are exact, or "gelu".
    start_active
        Share of hidden units that are active at the start; 0.5 is the usual start, with biases
        of 0. Starting at 0.1 makes the trained network better and sparser.
    """

    alphabet: Annotated[int, Field(ge=2, le=256)] = 82
    d_model: Size = 96
    layers: Size = 3
    heads: Size = 4
    d_ff: Size = 768
    context: Annotated[int, Field(ge=4)] = 128
    activation: Literal["relu", "gelu"] = "relu"
    start_active: Annotated[float, Field(gt=0, lt=1)] = 0.10

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.d_model % self.heads:
            raise ValueError(
                f"d_model must be a multiple of heads = {self.heads}, got {self.d_model}"
            )
        return self


class TransformerTrainSpec(Spec):
    """A character transformer and its training by AdamW: same spec, same platform, same numbers.

    Parameters
    ----------
    network
        The network; its alphabet is that of the text.
    data
        "plays", or the path of a text (`neurosparse.data.texts`).
    steps, batch_size
        Steps of the optimiser, and pieces of `context` characters a step.
    learning_rate
        Its largest value: it rises over the first 50 steps, stands until 40 % of the training, and
        then falls linearly to a fiftieth.
    weight_decay
        Of matrices alone.
    target_active
        The share of active units to reach in every feed-forward block; None steers nothing.
    target_reached
        The part of the training after which the target stands still.
    l1
        A fixed weight of the L1 penalty instead: the mean over tokens of the sum over units.
    top_k
        Share of units of each block that may be active for a token, the largest; None for all.
    validated_every
        Steps between looks at the validation text.
    seed
        Of the initial weights and of the pieces of text.
    """

    network: TransformerSpec = TransformerSpec()
    data: str = "plays"
    steps: Annotated[int, Field(ge=1)] = 1000
    batch_size: Size = 8
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    target_active: Share | None = None
    target_reached: Share = 0.6
    l1: Annotated[float, Field(ge=0)] = 0.0
    top_k: Share | None = None
    validated_every: Size = 100
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @model_validator(mode="after")
    def _one_way_to_be_sparse(self) -> Self:
        ways = {
            "target_active": self.target_active is not None,
            "l1": self.l1 > 0,
            "top_k": self.top_k is not None,
        }
        chosen = [name for name, is_on in ways.items() if is_on]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other: choose one")
        if chosen and self.network.activation != "relu":
            raise ValueError(
                f"{chosen[0]} needs activation = 'relu', got {self.network.activation!r}"
            )
        return self
