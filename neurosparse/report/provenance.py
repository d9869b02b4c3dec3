"""Provenance of results: command, commit, versions, machine and processor."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from neurosparse import __version__
from neurosparse._internal.types import Fields

_PACKAGES = ("brian2", "torch", "numpy", "scipy")
_SOURCES = Path(__file__).parents[2]


def environment() -> Fields:
    """Return command, commit, versions, machine and processor, for the provenance of results."""
    return {
        "command": command(sys.argv),
        "commit": commit(),
        "versions": {
            "neurosparse": __version__,
            "python": platform.python_version(),
            **_versions(),
        },
        "machine": f"{platform.system()} {platform.machine()}",
        **_processor(),
    }


def _versions() -> dict[str, str]:
    """Return the versions of what decides numbers, as far as it is installed."""
    found = {}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # the light install leaves some out
            found[package] = metadata.version(package)
    return found


@cache
def _processor() -> dict[str, str]:
    """Return the kind of processor that kernels are compiled for: it decides how sums are rounded.

    Without numba there are no such kernels.
    """
    try:
        from llvmlite import binding
    except ImportError:
        return {}
    return {"processor": binding.get_host_cpu_name()}


def command(arguments: list[str]) -> str | None:
    """Return the command that repeats a run; None in a notebook, which has none.

    Examples
    --------
    >>> command(["/usr/bin/neurosparse", "compare", "--band", "my own=0.1-0.2"])
    "neurosparse compare --band 'my own=0.1-0.2'"
    """
    if not arguments or not arguments[0] or arguments[0] == "-c":
        return None
    program = Path(arguments[0])
    if program.name.startswith("ipykernel") or program.parent.name == "ipykernel":
        return None
    own = program.stem == "neurosparse" or program.parent.name == "neurosparse"
    name = ["neurosparse"] if own else ["python", program.name]
    return shlex.join([*name, *arguments[1:]])


@cache
def commit() -> str | None:
    """Return the commit of the sources, marked where they were changed; None without git."""
    if not (_SOURCES / ".git").exists():
        return None
    try:
        found = subprocess.run(
            [
                "git",
                "describe",
                "--always",
                "--dirty=, changed since",
                "--abbrev=12",
                "--exclude=*",
            ],
            cwd=_SOURCES,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def flat(node: object, name: str = "") -> list[tuple[str, str]]:
    """Return nested provenance as (dotted name, text) pairs."""
    if isinstance(node, Mapping):
        return [
            pair
            for key, child in node.items()
            for pair in flat(child, f"{name}.{key}" if name else str(key))
        ]
    if isinstance(node, list):
        node = ", ".join(map(str, node))
    return [(name, "-" if node is None else node if isinstance(node, str) else json.dumps(node))]


def in_words(key: str) -> str:
    """Return a key of a provenance as words, its unit in brackets.

    Examples
    --------
    >>> in_words("took_s"), in_words("circuit.window_ms"), in_words("versions.torch")
    ('took (s)', 'circuit.window (ms)', 'versions.torch')
    """
    return re.sub(r"_(ms|s)$", r" (\1)", key).replace("_", " ")
