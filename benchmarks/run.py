"""Run every benchmark in turn, and write results.json and the table of this folder's README.

    make bench                      # creates the peers' environment, then runs this
    make bench-quick                # what needs no peers, 3 pairs, 10 minutes
    python benchmarks/run.py [NAME ...] [--out results/bench] [--anew]

NAME is a file of this folder without its suffix; by default all of them. A run that was stopped
goes on where it was. Benchmarks that finished are kept, and so are the pairs of the one that did
not, unless the code that decides them has changed since. `--anew` measures all of them again. A
benchmark that fails is named and the others go on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pairs import JOURNAL, QUICK

from neurosparse.sweep.closure import closure, source

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
    "convert_images",
    "conversion",
    "brian2_images",
    "transformer",
    "measure",
    "page",
    "sweep",
)
QUICK_NAMES = ("inference", "train", "conversion", "sweep")
QUICK_MINUTES = 10
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
BUSY = 0.15  # share of the cores that others take before a job, from which on a row is marked
PROC_STAT = Path("/proc/stat")
LOOK_S = 2.0  # for which they are looked at

Row = dict[str, Any]


@lru_cache
def code(name: str) -> str:
    """Return a hash of the code that decides a benchmark's rows.

    Its own, all that it imports of this package and of this folder but `pairs`, and the versions of
    other packages.
    """
    roots, packages, modules = {name}, set[str](), set[str]()
    while new := roots - modules:
        modules |= set(closure(new))
        packages |= {package for module in modules for package in source(module).packages}
        roots |= {package for package in packages - {"pairs"} if (HERE / f"{package}.py").exists()}
    digest = hashlib.sha256(".".join(platform.python_version_tuple()[:2]).encode())
    for module in sorted(modules):
        digest.update(f"{module} {source(module).meaning}\n".encode())
    for package in sorted(packages - roots):
        digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()[:16]


def version(package: str) -> str:
    """Return the version of an installed package, by the name under which it is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


@lru_cache
def commit() -> str:
    """Return the commit that is checked out, with a + where files but our table differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(HERE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "-uno", "--", ":/", ":!README.md") else ""
    )


def run(
    name: str, out: Path, *, anew: bool = False, seconds: float | None = None
) -> list[Row] | None:
    """Return the rows of one benchmark; None, said on stderr, where it failed or took longer."""
    journal = out / "journal" / f"{name}-{code(name)}.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True)
    if anew:
        journal.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        JOURNAL: str(journal.resolve()),
    }
    load = taken(LOOK_S)
    command = [sys.executable, str(HERE / f"{name}.py")]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        print(f"{name} was stopped: no time was left", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{name} failed with status {done.returncode}", file=sys.stderr)
        return None
    journal.unlink(missing_ok=True)
    rows: list[Row] = json.loads(done.stdout)
    about = {"benchmark": name, "code": code(name), "commit": commit(), "load": round(load, 2)}
    return [about | row for row in rows]


def taken(seconds: float) -> float:
    """Return the share of the cores that is taken, for so long; the load where no /proc tells.

    The load average is that of a minute, and holds the job before.
    """

    def ticks() -> tuple[int, int]:
        each = [int(word) for word in PROC_STAT.read_text().splitlines()[0].split()[1:9]]
        return sum(each), each[3] + each[4]  # idle, and waiting for a disk

    if not PROC_STAT.exists():
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    before, idle_before = ticks()
    time.sleep(seconds)
    after, idle = ticks()
    return 1 - (idle - idle_before) / max(after - before, 1)


def state(row: Row) -> str:
    """Say whether a row is older than its code, and whether it is of busy cores."""
    stale = row.get("code") != code(row["benchmark"])
    busy = row.get("load", 0) > BUSY
    return ", ".join(["stale"] * stale + ["busy"] * busy)


def table(rows: list[Row]) -> str:
    """Format the rows in Markdown."""
    lines = [
        "| job | peer | unit | ours | theirs | ratio (min-max) | goal | n | CPU, cores | commit |"
        " date | state |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
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
            f"{row['cpu']}, {row['cores']}",
            row["commit"],
            row["date"],
            state(row),
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def merged(standing: str, rows: list[Row]) -> str:
    """Return a table with the jobs of `rows` as they are now.

    Those of others stay where they are. They are older than their code, for all that is known.
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
            *cells, _ = line.strip().strip("|").split("|")
            lines.append("|" + "|".join([*cells, " stale |"]))
    for left in new.values():
        lines += table(left).splitlines()[2:]
    return "\n".join(lines)


def standing_rows(path: Path, names: tuple[str, ...]) -> dict[str, list[Row]]:
    """Return the rows of an earlier run whose code is what it was, by benchmark."""
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    of = {name: [row for row in rows if row["benchmark"] == name] for name in names}
    return {
        name: found
        for name, found in of.items()
        if found and all(row.get("code") == code(name) for row in found)
    }


def write(path: Path, found: dict[str, list[Row]]) -> list[Row]:
    """Write rows over those of the same benchmarks in a file, and return all of the file."""
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    rows = [row for row in rows if row["benchmark"] not in found]
    rows += [row for new in found.values() for row in new]
    # stable: the order within a benchmark stays
    rows.sort(key=lambda row: NAMES.index(row["benchmark"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(rows, indent=1) + "\n")
    whole.replace(path)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--anew", action="store_true", help="measure again what stands")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"what needs no peers, 3 pairs, {QUICK_MINUTES} minutes at most; no README",
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {min(unknown)!r}; there are: {', '.join(NAMES)}")
    if options.quick:
        os.environ[QUICK] = "1"
    names = tuple(options.names or (QUICK_NAMES if options.quick else NAMES))
    path = options.out / ("quick.json" if options.quick else "results.json")
    again = options.anew or options.quick
    end = time.monotonic() + 60 * QUICK_MINUTES if options.quick else None
    standing = {} if again else standing_rows(path, names)
    if standing:
        print(f"measured before, with this code: {', '.join(standing)}", file=sys.stderr)
    failed, rows = [], write(path, {})
    for name in names:
        if name in standing:
            continue
        left = None if end is None else max(end - time.monotonic(), 0.0)
        found = run(name, path.parent / path.stem, anew=again, seconds=left)
        if found is None:
            failed.append(name)
        else:
            rows = write(path, {name: found})  # at once: the next one may be stopped
    print(f"{table(rows)}\n\n{path}")
    if not options.quick:
        readme = HERE / "README.md"
        head, rest = readme.read_text().split(BEGIN)
        before, tail = rest.split(END)
        readme.write_text(f"{head}{BEGIN}\n{merged(before, rows)}\n{END}{tail}")
        print(readme)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
