"""A sweep: a recipe, what varies, and how; expanded into the points that are run.

As a TOML file:

    kind = "train"                                # or "simulate", "convert"
    title = "Error over sparsity"
    recipe = "rectifier_l1"                       # a name, or a path next to this file
    seeds = [1, 2, 3]                             # each point with each seed;
                                                  # or "each": point k with seed k

    [settings]                                    # values of the recipe to replace, in every run
    epochs = 30

    [grid]                                        # every combination
    l1 = { low = 0.0, high = 0.01, n = 200 }      # or a list: [0.0, 0.001]; or with scale = "log"
    "network.activation" = ["rectifier", "tanh"]

    [random]                                      # n draws, each with every combination of the grid
    n = 50
    seed = 1
    values.learning_rate = { low = 0.01, high = 0.5, scale = "log" }
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from neurosparse import recipes
from neurosparse._internal.types import Fields
from neurosparse.recipes import Seed, Spec
from neurosparse.sweep import kinds

MOST_RUNS = 1_000_000


class Range(Spec):
    """Numbers from `low` to `high`, evenly spaced or evenly in their logarithm.

    A grid takes `n` of them, a draw any of them.
    """

    low: float
    high: float
    n: Annotated[int, Field(ge=2, le=MOST_RUNS)] | None = None
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _runs_upwards(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"high must be > low={self.low:g}, got {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f'low must be > 0 for scale = "log", got {self.low:g}')
        return self

    def at(self, share: float) -> float:
        """Return the number at a share of the way, in [0, 1]."""
        if self.scale == "log":
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + (self.high - self.low) * share)


Values = Range | Annotated[tuple[Any, ...], Field(min_length=1)]


class Draws(Spec):
    """`n` random draws: uniform in a range, or one of a list."""

    n: Annotated[int, Field(ge=1, le=MOST_RUNS)]
    values: Annotated[dict[str, Values], Field(min_length=1)]
    seed: Seed = 0

    @field_validator("values", mode="before")
    @classmethod
    def _dotted(cls, values: object) -> Any:
        return _flat(values)


class SweepSpec(Spec):
    """A sweep: many runs of one recipe.

    Parameters
    ----------
    kind
        "train" a network, "simulate" a circuit or population, train and "convert" a network, or a
        kind that was registered (`neurosparse.sweep.kinds`).
    recipe
        Name or path of the recipe.
    settings, grid, random
        Values of the recipe by their dotted names: in every run, in every combination, drawn. A
        simulation also takes `seconds`, `engine`, `scale` and `window_ms` here.
    seeds
        One run of each point for each; "each": the k-th point with seed k, from 0.
    device
        Of networks: "cpu" (the same numbers bit for bit, however often it was interrupted), "cuda"
        or "auto".
    timeout_s
        A run that takes longer has failed.
    memory_mb
        The most memory a run may take; that many fit side by side. Without it, as much as the
        largest so far took is kept free.
    attempts
        How often a run is begun whose process dies, before it counts as failed.
    """

    kind: str
    recipe: str
    title: str = ""
    settings: Fields = Field(default_factory=dict)
    grid: dict[str, Values] = Field(default_factory=dict)
    random: Draws | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | Literal["each"] = (1,)
    device: str = "cpu"
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[float, Field(gt=0)] | None = None
    attempts: Annotated[int, Field(ge=1)] = 3

    @field_validator("kind")
    @classmethod
    def _is_a_kind(cls, value: str) -> str:
        return kinds.registry.check(value)

    @field_validator("settings", "grid", mode="before")
    @classmethod
    def _dotted(cls, values: object) -> Any:
        return _flat(values)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [*self.settings, *self.grid, *(self.random.values if self.random else ())]
        if twice := [name for name in names if names.count(name) > 1 or name == "seed"]:
            raise ValueError(
                f"{twice[0]!r} must stand once in settings, grid or random, and `seed` in `seeds`"
                " alone"
            )
        if endless := [
            name
            for name, values in self.grid.items()
            if isinstance(values, Range) and values.n is None
        ]:
            raise ValueError(f"grid.{endless[0]} needs n, the number of its values")
        if self.n_runs > MOST_RUNS:
            raise ValueError(f"a sweep must be of at most {MOST_RUNS:,} runs, got {self.n_runs:,}")
        return self

    @property
    def n_runs(self) -> int:
        """Number of runs that it asks for."""
        n = (self.random.n if self.random else 1) * (1 if self.seeds == "each" else len(self.seeds))
        for values in self.grid.values():
            n *= values.n or 0 if isinstance(values, Range) else len(values)
        return n

    def points(self) -> Iterator[tuple[Fields, int]]:
        """Yield what varies in every run, and its seed, in order."""
        axes = [[*_grid(values)] for values in self.grid.values()]
        for k, (drawn, combination) in enumerate(product(self._draws(), product(*axes))):
            point = {**dict(zip(self.grid, combination, strict=True)), **drawn}
            for seed in (k,) if self.seeds == "each" else self.seeds:
                yield point, seed

    def _draws(self) -> list[Fields]:
        if self.random is None:
            return [{}]
        generator = np.random.default_rng(self.random.seed)
        shares = generator.random((self.random.n, len(self.random.values)))
        return [
            {
                name: _pick(values, share)
                for (name, values), share in zip(self.random.values.items(), row, strict=True)
            }
            for row in shares
        ]


def load(name_or_path: str | Path) -> SweepSpec:
    """Read a sweep by its name or from a TOML file.

    A name is of a sweep that comes with the package, such as "figure3".

    Its values may carry their sources, as in recipes.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is none, or it is not a sweep; one sentence.
    """
    found = recipes.load(name_or_path)
    beside = found.path.parent / str(found.values.get("recipe"))
    where = {"recipe": str(beside)} if beside.suffix == ".toml" and beside.is_file() else {}
    return found.spec(SweepSpec, kind=found.kind, title=found.title, **where)


def _grid(values: Values) -> Iterator[Any]:
    if isinstance(values, Range):
        n = values.n or 0
        return (values.at(k / (n - 1)) for k in range(n))
    return iter(values)


def _pick(values: Values, share: float) -> Any:
    return values.at(share) if isinstance(values, Range) else values[int(share * len(values))]


def _flat(values: object, place: str = "") -> Any:
    """Name the values of nested tables with dots; a table with `low` is a range."""
    if not isinstance(values, dict):
        return values
    flat: Fields = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and "low" not in value
        flat |= _flat(value, f"{place}{name}.") if nested else {f"{place}{name}": value}
    return flat
