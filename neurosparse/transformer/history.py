"""Records of a training: looks at the validation text on the way, and its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from neurosparse._internal import cards
from neurosparse.transformer.network import CharacterTransformer
from neurosparse.transformer.specs import TransformerTrainSpec


@dataclass(frozen=True, slots=True)
class TransformerScores(cards.Shown):
    """Scores of a network on a text.

    Attributes
    ----------
    bits_per_character
        The mean surprise at the next character, in bits.
    low, high
        The ends of its 95 % interval, Student's over the pieces of text; NaN for a single piece.
    n_pieces
        Pieces of `context` characters that were read, each without what stands before it.
    active
        The share of hidden units of each layer that are not 0 for a character, on average.
    alive
        The share of hidden units of each layer that are not 0 for at least one character.
    """

    bits_per_character: float
    low: float
    high: float
    n_pieces: int
    active: tuple[float, ...]
    alive: tuple[float, ...]

    @property
    def active_fraction(self) -> float:
        """The mean share of active units over all layers, which are equally wide."""
        return sum(self.active) / len(self.active)

    def _card(self) -> cards.Card:
        rows = [
            {"layer": k, "active (%)": 100 * active, "alive (%)": 100 * alive}
            for k, (active, alive) in enumerate(zip(self.active, self.alive, strict=True))
        ]
        return cards.Card(f"{self.bits_per_character:.4f} bits per character", rows)


@dataclass(frozen=True, slots=True)
class Look:
    """A training after so many steps, on a part of the validation text; step 0 is its start.

    Attributes
    ----------
    train_bits
        Bits per character while training, the mean since the last look, without the penalty; None
        at the start.
    l1
        The weight of the penalty of each layer; empty where there is none.
    characters_per_s
        Of the training alone, by the clock; None at the start.
    """

    step: int
    scores: TransformerScores
    train_bits: float | None = None
    l1: tuple[float, ...] = ()
    characters_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class TransformerResult(cards.Shown):
    """A trained transformer, as it is after its last step.

    Attributes
    ----------
    validation
        Its scores on the whole validation text.
    test
        Its scores on the test text, read once at the end; None where not asked for.
    seconds
        By the clock, of all its parts where it went on from a checkpoint.
    cpu_s
        CPU time of the steps, in the thread that made them, without the looks.
    """

    network: CharacterTransformer = field(repr=False)
    spec: TransformerTrainSpec
    history: tuple[Look, ...] = field(repr=False)
    validation: TransformerScores
    test: TransformerScores | None
    device: str
    seconds: float
    cpu_s: float

    def _card(self) -> cards.Card:
        shown = {
            "bits per character, validation": self.validation.bits_per_character,
            "active (%)": 100 * self.validation.active_fraction,
            "alive, least of a layer (%)": 100 * min(self.validation.alive),
            "steps": self.spec.steps,
            "device": self.device,
            "seconds": self.seconds,
        }
        return cards.Card("Trained transformer", shown)


def rows(history: Iterable[Look]) -> list[dict[str, Any]]:
    """Return a row a look and layer, for a table.

    What is of the look as a whole stands in each of its rows.
    """
    return [
        {
            "step": look.step,
            "train_bits": look.train_bits,
            "bits_per_character": look.scores.bits_per_character,
            "low": look.scores.low,
            "high": look.scores.high,
            "characters_per_s": look.characters_per_s,
            "layer": k,
            "l1": look.l1[k] if look.l1 else None,
            "active": active,
            "alive": alive,
        }
        for look in history
        for k, (active, alive) in enumerate(zip(look.scores.active, look.scores.alive, strict=True))
    ]
