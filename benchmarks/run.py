"""Run every benchmark in turn, and write results.json and the table of this folder's README.

    make bench                      # creates the peers' environment, then runs this
    python benchmarks/run.py [NAME ...] [--out results/bench]

NAME is a file of this folder without its suffix; by default all of them. A benchmark that fails is
named and the others go on; rows of benchmarks that were not run stay as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = (
    "fi_curve",
    "siegert",
    "brunel",
    "brunel_brian2",
    "microcircuit",
    "train",
    "inference",
    "convert",
    "conversion",
    "brian2_images",
    "transformer",
    "measure",
    "page",
    "sweep",
)
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def run(name: str) -> list[dict[str, Any]] | None:
    """Return the rows of one benchmark; None, with its last words on stderr, if it failed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / f"{name}.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if done.returncode:
        print(f"{name} failed with status {done.returncode}", file=sys.stderr)
        return None
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return [{"benchmark": name, **row} for row in rows]


def table(rows: list[dict[str, Any]]) -> str:
    """Format the rows in Markdown."""
    lines = [
        "| job | peer | unit | ours | theirs | ratio (min-max) | goal | n | date |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row["ratio"]
        shown = (
            "-" if ratio is None else f"**{ratio['median']:g}** ({ratio['min']:g}-{ratio['max']:g})"
        )
        theirs = "-" if row["theirs"] is None else f"{row['theirs']:g}"
        cells = [
            row["job"],
            row["peer"],
            row["unit"],
            f"{row['ours']:g}",
            theirs,
            shown,
            row["goal"],
            row["n"],
            row["date"],
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def merged(standing: str, rows: list[dict[str, Any]]) -> str:
    """Return a table with the jobs of `rows` as they are now.

    Those of others stay where they are.
    """
    new = {
        job: [row for row in rows if row["job"] == job]
        for job in dict.fromkeys(row["job"] for row in rows)
    }
    done, lines = set(new), table([]).splitlines()
    for line in standing.strip().splitlines()[2:]:
        job = line.split("|")[1].strip()
        if job in new:
            lines += table(new.pop(job)).splitlines()[2:]
        elif job not in done:
            lines.append(line)
    for left in new.values():
        lines += table(left).splitlines()[2:]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {min(unknown)!r}; there are: {', '.join(NAMES)}")
    path = options.out / "results.json"
    before = json.loads(path.read_text()) if path.exists() else []
    found = {name: run(name) for name in options.names or NAMES}
    ran = {name for name, rows in found.items() if rows is not None}
    rows = [row for row in before if row["benchmark"] not in ran]
    rows += [row for name in ran for row in found[name] or []]
    # stable: the order within a benchmark stays
    rows.sort(key=lambda row: NAMES.index(row["benchmark"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")
    readme = HERE / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    standing, tail = rest.split(END)
    readme.write_text(f"{head}{BEGIN}\n{merged(standing, rows)}\n{END}{tail}")
    print(f"{table(rows)}\n\n{path}\n{readme}")
    if failed := set(found) - ran:
        sys.exit(f"failed: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
