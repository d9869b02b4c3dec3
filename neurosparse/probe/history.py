"""The course of a training: rows of numbers, for loggers, tables and figures."""

from __future__ import annotations

import math
from typing import Any

from neurosparse._internal.cards import Card
from neurosparse._internal.digits import counted
from neurosparse._internal.imports import need

Row = dict[str, float]


class History(list[Row]):
    """Rows in the order of their steps, each a flat dict: "step", and "<quantity>/<layer>"."""

    def __str__(self) -> str:
        """Return a table of the looks: the first, the last, and as many as have room."""
        found = dict.fromkeys(key for row in self for key in row)
        # those of all layers, then how active each is, then the rest
        keys = sorted(found, key=lambda k: (k != "step", "/" in k, not k.startswith("active")))
        rows = [{key: row.get(key) for key in keys} for row in self]
        return Card(counted(len(self), "look"), rows, more=".to_pandas()").text()

    def to_pandas(self) -> Any:
        """Return the rows as a pandas frame, a row a look and a column a key.

        Raises
        ------
        MissingPackageError
            Where pandas is not installed.
        """
        return need("pandas", "a frame of looks", "interop").DataFrame(list(self))

    def last(self, key: str) -> float:
        """Return the newest value of a key, NaN where no row has it."""
        return float(next((row[key] for row in reversed(self) if key in row), math.nan))

    def course(self, quantity: str) -> dict[str, dict[int, float]]:
        """Return one quantity of each layer by step.

        Parameters
        ----------
        quantity
            What stands before the layer in the rows: "active", "dead", ...

        Returns
        -------
        dict
            course[layer][step], layers in the order of the rows.

        Raises
        ------
        ValueError
            Where no row has that quantity.

        Examples
        --------
        >>> History([{"step": 0, "active/0": 0.5}, {"step": 9, "active/0": 0.4}]).course("active")
        {'0': {0: 0.5, 9: 0.4}}
        """
        found: dict[str, dict[int, float]] = {}
        for row in self:
            for key, value in row.items():
                before, slash, layer = key.partition("/")
                if slash and before == quantity:
                    found.setdefault(layer, {})[int(row["step"])] = value
        if not found:
            known = sorted({key.partition("/")[0] for row in self for key in row if "/" in key})
            raise ValueError(
                f"no row has the quantity {quantity!r}; they have {', '.join(known) or 'none yet'}"
            )
        return found
