"""A character transformer and its training, as typed specs: pydantic alone, no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neurosparse.recipes import Spec

Size = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]
BEFORE = 2  # characters, and tokens, before the present one that are mixed in


class TransformerSpec(Spec):
    """A transformer that predicts the next character from up to `context` characters before it.

    Parameters
    ----------
    alphabet
        Number of characters; training takes that of its text.
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
    top_k
        Share of units of each block that may be active for a character, the largest; None for all.
    """

    alphabet: Annotated[int, Field(ge=2, le=256)] = 82
    d_model: Size = 96
    layers: Annotated[int, Field(ge=1, le=1000)] = 3
    heads: Size = 4
    d_ff: Size = 768
    context: Annotated[int, Field(ge=4)] = 128
    activation: Literal["relu", "gelu"] = "relu"
    start_active: Annotated[float, Field(gt=0, lt=1)] = 0.10
    top_k: Share | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of the network's weights, by its name."""
        d, alphabet = self.d_model, self.alphabet
        shapes: dict[str, tuple[int, ...]] = {"positions": (self.context, d)}
        shapes |= {f"embeddings.{k}.weight": (alphabet + 1, d) for k in range(BEFORE + 1)}
        up, down = ("up", "down") if self.top_k is None and self.activation == "relu" else "02"
        one = {
            "mix": (BEFORE, d),
            "attend_norm.weight": (d,),
            "attend_norm.bias": (d,),
            "write_norm.weight": (d,),
            "write_norm.bias": (d,),
            "attend_in.weight": (3 * d, d),
            "attend_out.weight": (d, d),
            f"ffn.{up}.weight": (self.d_ff, d),
            f"ffn.{up}.bias": (self.d_ff,),
            f"ffn.{down}.weight": (d, self.d_ff),
            f"ffn.{down}.bias": (d,),
        }
        for k in range(self.layers):
            shapes |= {f"layers.{k}.{name}": shape for name, shape in one.items()}
        return shapes | {"norm.weight": (d,), "norm.bias": (d,), "output.weight": (alphabet, d)}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.d_model % self.heads:
            raise ValueError(
                f"d_model must be a multiple of heads = {self.heads}, got {self.d_model}"
            )
        if self.top_k is not None and self.activation != "relu":
            raise ValueError(f"top_k needs activation = 'relu', got {self.activation!r}")
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
        The share of active units to reach in every feed-forward block, each with a penalty of its
        own; None steers nothing.
    target_reached
        The part of the training after which the target stands still.
    l1
        A fixed weight of the L1 penalty instead: the mean over tokens of the sum over units.
    revive
        Whether units that have died get biases at which they are active for the target's share.
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
    target_active: Annotated[float, Field(gt=0, lt=1)] | None = None
    target_reached: Share = 0.6
    l1: Annotated[float, Field(ge=0)] = 0.0
    revive: bool = False
    validated_every: Size = 100
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @property
    def sparsity(self) -> dict[str, float | None]:
        """Cause of its networks' sparsity, for a provenance; as for `rectifier.TrainSpec`."""
        share = self.target_active if self.network.top_k is None else self.network.top_k
        return {"steered to": share, "penalty": self.l1}

    @model_validator(mode="after")
    def _one_way_to_be_sparse(self) -> Self:
        ways = {
            "target_active": self.target_active is not None,
            "l1": self.l1 > 0,
            "network.top_k": self.network.top_k is not None,
        }
        chosen = [name for name, is_on in ways.items() if is_on]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other: choose one")
        if chosen and self.network.activation != "relu":
            raise ValueError(
                f"{chosen[0]} needs activation = 'relu', got {self.network.activation!r}"
            )
        if self.revive and self.target_active is None:
            raise ValueError("revive needs target_active: a share to bring dead units back to")
        return self
