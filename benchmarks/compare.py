"""Compare two results files of `benchmarks/run.py`, and name what fell by more than its own range.

    python benchmarks/compare.py BEFORE.json AFTER.json

A ratio fell where its median is lower by more than the range over pairs, of the file in which that
is wider. Where there is no peer, our own time rose in the same way. Rows of one measurement have no
range and are not judged. The exit status is 1 where something fell.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
Key = tuple[str, str, str]


class Change(NamedTuple):
    """A row in both files: its figure then and now, and the range over pairs."""

    key: Key
    before: float
    after: float
    spread: float
    better: int  # 1 where more is better, -1 where less is

    @property
    def fell(self) -> bool:
        """Say whether it got worse by more than the range."""
        return self.better * (self.before - self.after) > self.spread


def rows_of(path: Path) -> dict[Key, Row]:
    """Return the rows of a results file, by job, peer and unit."""
    return {(row["job"], row["peer"], row["unit"]): row for row in json.loads(path.read_text())}


def change(key: Key, before: Row, after: Row) -> Change | None:
    """Return the change of a row; None where it has no range."""
    if min(before["n"], after["n"]) < 2:
        return None
    if before["ratio"] and after["ratio"]:
        spread = max(row["ratio"]["max"] - row["ratio"]["min"] for row in (before, after))
        return Change(key, before["ratio"]["median"], after["ratio"]["median"], spread, 1)
    spread = max(row["range"][1] - row["range"][0] for row in (before, after))
    return Change(key, before["ours"], after["ours"], spread, -1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    before, after = rows_of(options.before), rows_of(options.after)
    both = [key for key in before if key in after]
    found = [change(key, before[key], after[key]) for key in both]
    judged = [each for each in found if each is not None]
    fell = [each for each in judged if each.fell]
    for each in fell:
        what = "ratio" if each.better > 0 else "ours"
        print(
            f"{', '.join(each.key)}: {what} {each.before:g} -> {each.after:g},"
            f" range {each.spread:.3g}"
        )
    machines = {(row["cpu"], row["cores"]) for row in (*before.values(), *after.values())}
    if len(machines) > 1:
        print(
            "the rows come from several machines: "
            + "; ".join(f"{c}, {n} cores" for c, n in sorted(machines))
        )
    print(
        f"{len(fell)} of {len(judged)} rows fell; {len(both) - len(judged)} of one measurement not"
        f" judged; only before: {len(before) - len(both)}, only after: {len(after) - len(both)}"
    )
    return bool(fell)


if __name__ == "__main__":
    sys.exit(main())
