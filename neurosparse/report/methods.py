"""The section Methods: a paragraph to copy, the references, and the numbers as files."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

from neurosparse import __version__
from neurosparse.activity import ActivityStats
from neurosparse.comparison import Comparison
from neurosparse.report.answer import named_circuits, steered_to, subject, wrong

_ALWAYS = ("neurosparse", "glorot2011", "attwell2001", "lennie2003")
# a reference, and the words in names or provenance that call for it
_WHERE_NAMED = {
    "potjans2014": ("potjans",),
    "brunel2000": ("brunel",),
    "stimberg2019": ("brian2_", '"neuron"', "spiking"),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that is inside the page, as a data URI."""

    name: str
    about: str
    uri: str


def paragraph(comparison: Comparison) -> str:
    """Return the methods in plain sentences, to copy into a paper.

    Examples
    --------
    >>> import neurosparse as ns
    >>> spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=50, duration_ms=10.0, dt_ms=1.0)
    >>> circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    >>> "50 neurons" in paragraph(ns.compare(circuit))
    True
    """
    circuits, networks, band = comparison.circuits, comparison.networks, comparison.band
    sentences = [
        f"Active fractions of {subject(comparison)} were measured with neurosparse"
        f" {_version(comparison)}."
    ]
    if circuits:
        sentences += [
            "A neuron counts as active in a window where it fires in it at least once. The active"
            " fraction is the mean share of neurons, silent ones included, over all positions of"
            " the window in the record.",
            *map(_circuit, named_circuits(comparison)),
        ]
    sentences += list(map(_network, networks))
    if circuits and networks:
        sentences.append(
            "The equivalent window of a network is the window in which the circuit is as active as"
            " the network is for one input."
        )
    intervals = [s.interval for s in comparison.stats]
    if given := dict.fromkeys(i.method for i in intervals if not math.isnan(i.low)):
        sentences.append(f"Intervals are of {100 * intervals[0].level:g} %: {'; '.join(given)}.")
    if none := dict.fromkeys(i.method for i in intervals if math.isnan(i.low)):
        sentences.append(f"Where an interval is missing: {'; '.join(none)}.")
    sentences += [
        f"The range of {100 * band.low:g} to {100 * band.high:g} % is that of {band.source}:"
        f" {band.caption[:1].lower()}{band.caption[1:]}",
    ]
    return " ".join(sentences)


def bibtex(comparison: Comparison) -> str:
    """Return the references of a comparison as BibTeX, with their DOIs."""
    words = json.dumps([s.name for s in comparison.stats] + [dict(comparison.provenance)]).lower()
    wanted = {
        *_ALWAYS,
        *(key for key, names in _WHERE_NAMED.items() if any(name in words for name in names)),
    }
    entries = (
        (resources.files(__package__) / "references.bib").read_text(encoding="utf-8").split("\n\n")
    )
    kept = [entry.strip() for entry in entries if entry.split("{")[1].split(",")[0] in wanted]
    return "\n\n".join(kept).replace("VERSION", _version(comparison))


def files(comparison: Comparison) -> list[File]:
    """Return the numbers of a comparison as files that the page carries."""
    rows = [_plain(stats) for stats in comparison.stats]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table: list[list[Any]] = [columns, *([row.get(column) for column in columns] for row in rows)]
    curves = [
        [circuit.name, float(window), float(fraction)]
        for circuit in comparison.circuits
        for window, fraction in zip(*comparison.curve(circuit), strict=True)
    ]
    found = [File("numbers.csv", "a row for each circuit and network", _csv(table))]
    with suppress(ImportError):  # the light install leaves pyarrow out
        found.append(File("numbers.parquet", "the same, typed", _parquet(rows, columns)))
    if curves:
        heads = ["circuit", "window_ms", "active_fraction"]
        found.append(File("curves.csv", "active fraction over the window", _csv([heads, *curves])))
    return found


def _version(comparison: Comparison) -> str:
    versions = comparison.provenance.get("versions")
    known = versions.get("neurosparse") if isinstance(versions, dict) else None
    return str(known or __version__)


def _circuit(stats: ActivityStats) -> str:
    seconds = (
        "" if stats.duration_ms is None else f", recorded for {stats.duration_ms / 1000:.4g} s"
    )
    rate = "" if stats.mean_rate_hz is None else f" at a mean rate of {stats.mean_rate_hz:.3g} Hz"
    window = f"its window is {stats.active_when.window_ms:g} ms"
    return f"“{stats.name}” has {stats.n_units:,} neurons{seconds}{rate}; {window}."


def _network(stats: ActivityStats) -> str:
    share = steered_to(stats)
    steered = "" if share is None else f" It was steered to {100 * share:g} % active units."
    error = f" {found}." if (found := wrong(stats)) else ""
    return (
        f"“{stats.name}” has {stats.n_units:,} units and was given {stats.n_samples:,} inputs; a"
        f" unit counts as active where {stats.active_when.describe()}.{steered}{error}"
    )


def _plain(stats: ActivityStats) -> dict[str, Any]:
    """Return a row of single values; what is nested is left to comparison.json."""
    row = {k: v for k, v in stats.row().items() if isinstance(v, str | int | float | None)}
    return row | {"steered_to": steered_to(stats)}


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return _uri("text/csv", text.getvalue().encode())


def _parquet(rows: list[dict[str, Any]], columns: list[str]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    pq.write_table(table, sink)
    return _uri("application/vnd.apache.parquet", sink.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
