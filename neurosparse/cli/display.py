"""What is shown on the terminal, 80 columns wide: bars on the error stream, tables and sentences on
the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from neurosparse._internal.workers import Show
    from neurosparse.activity import ActivityStats

WIDTH = 80
_PACE_S = 3600.0  # the time left is told from the pace of so long


@contextmanager
def bars(jobs: dict[str, str]) -> Iterator[Show]:
    """A progress bar a job, with the time it took and the time left, on the error stream, so that
    what is printed can be piped.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    columns = (
        TextColumn("{task.description:<9.9}"),
        BarColumn(10),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(Column(min_width=7)),
        TimeRemainingColumn(table_column=Column(min_width=7)),
        TextColumn("left"),
    )
    words = TextColumn(
        "{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
    )
    with Progress(
        *columns, words, console=Console(stderr=True), speed_estimate_period=_PACE_S
    ) as progress:
        tasks = {
            job: progress.add_task(label, total=1.0, text="starting") for job, label in jobs.items()
        }
        yield lambda job, done, text: progress.update(tasks[job], completed=done, text=text)


def table(
    stats: tuple[ActivityStats, ...], equivalents: dict[str, dict[str, float | None]]
) -> Table:
    """What was measured, a row each, with the window in which each circuit is as active as 1 to 4
    %.
    """
    from rich import box
    from rich.table import Table

    from neurosparse.report import row

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["name", "active means", "active", "95 % interval", "never active"]
    if equivalents:
        columns[4:] = ["equals window"]
    for column in columns:
        words = column in columns[:2]
        table.add_column(
            column, overflow="fold", no_wrap=not words, justify="left" if words else "right"
        )
    for s in stats:
        cells = row(s, equivalents)
        table.add_row(*(cells[c] for c in columns))
    return table


def layer_table(stats: tuple[ActivityStats, ...]) -> Table:
    """A line a layer of any network."""
    from neurosparse.comparison import percent

    return rows_table(
        [
            {
                "layer": s.name,
                "units": f"{s.n_units:,}",
                "axis": str(s.active_when.axis),
                "samples": f"{s.n_samples:,}",
                "active": percent(s.active_fraction),
                "exact 0": "-" if s.zero_fraction is None else percent(s.zero_fraction),
                "eff. units": "-" if s.effective_units is None else f"{s.effective_units:.3g}",
                "dead": f"{s.n_silent:,}",
            }
            for s in stats
        ]
    )


def beyond_table(stats: tuple[ActivityStats, ...]) -> Table:
    """What the mean does not say; a line each."""
    from neurosparse.sparsity.log_normal import row

    return rows_table([row(s) for s in stats])


def rows_table(rows: list[dict[str, str]]) -> Table:
    """Rows of text, the first column to the left."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, heading in enumerate(rows[0]):
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=k > 0,
            justify="right" if k else "left",
            min_width=0 if k else 15,
        )
    for row in rows:
        table.add_row(*row.values())
    return table


def print_spikes(
    spikes: Any, active_when: Any, measure: Any, provenance: dict[str, Any] | None = None
) -> tuple[ActivityStats, ...]:
    """Print how sparse spikes are, all of them and each population, and return it."""
    from neurosparse.activity import WHOLE

    parts = {WHOLE: spikes, **{name: spikes.population(name) for name in spikes.populations}}
    stats = tuple(
        measure(part, active_when=active_when, name=name, provenance=provenance)
        for name, part in parts.items()
    )
    say(table(stats, {}))
    for s in stats:
        cv = "-" if s.isi_cv is None else f"{s.isi_cv:.2f}"
        windows = ", ".join(
            f"{100 * f:g} % in "
            + ("no window" if (w := s.curve.window_ms(f)) is None else f"{w:.3g} ms")
            for f in (0.01, 0.02, 0.04)
        )
        say(
            f"{s.name}: {s.mean_rate_hz:.2f} Hz (median {s.median_rate_hz:.2f}), ISI CV {cv};"
            f" active {windows}"
        )
    return stats


def say(what: Any) -> None:
    """Print a text or a table, in at most 80 columns, with no colour where the output is not a
    terminal.
    """
    from rich.console import Console

    Console(width=min(WIDTH, Console().width), highlight=False, soft_wrap=False).print(
        what, markup=False
    )
