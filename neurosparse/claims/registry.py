"""All claims by their numbers: the modules cNN_NAME.py of this folder, and those that others add.

from neurosparse import claims
claims.register(19, "my_package.my_claim")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from neurosparse._internal import checks
from neurosparse._internal.registry import Registry, modules_in
from neurosparse.claims.frame import Claim, Quantity
from neurosparse.claims.lab import Lab


class ClaimModule(Protocol):
    """A claim, and the experiment that puts it to the test."""

    CLAIM: Claim

    def measure(self, lab: Lab, seed: int) -> Mapping[str, Quantity]:
        """Return the quantities of one seed, by the names that the criteria ask for."""
        ...


registry = Registry[int, ClaimModule](
    "claim",
    {
        int(stem[1:3]): module
        for stem, module in modules_in("neurosparse.claims", __file__, "c[0-9][0-9]_*.py")
    },
    needs=("CLAIM", "measure"),
)
names, register = registry.names, registry.register


def load(number: int) -> ClaimModule:
    """Return the module of a claim, with its `CLAIM` and `measure(lab, seed)`.

    Raises
    ------
    ValueError
        Where there is no claim of that number.
    """
    return registry.get(checks.whole("number of a claim", number))
