"""Output on the terminal: bars on the error stream, tables and sentences on the output.

Lines are at most 80 columns wide, less where the terminal is narrower.
"""

from __future__ import annotations

import json
import math
import os
import re
import string
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosparse._internal import names
from neurosparse.cli import boundary
from neurosparse.progress import with_compilation

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from neurosparse._internal.workers import Show
    from neurosparse.activity import ActivityStats

WIDTH = 80
_PACE_S = 3600.0  # the time left is told from the pace of so long
_SILENCE_S = 300.0  # between two lines of a job in a log
_LONGEST_LABEL = 20
_LEAST_NAMES = 16  # columns of a table for names that are wrapped
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|Hz|nA|mV)(?!\w))")  # a number keeps its unit


@contextmanager
def bars(
    jobs: dict[str, str], *, own_estimate: bool = False, own_rows: bool = False
) -> Iterator[Show]:
    """Show a progress bar for each job, with the time it took and the time left.

    The bars are on the error stream, so that what is printed can be piped. Where that is no
    terminal, such as the log of a batch job, each tenth of a job has a line, and each five minutes.

    Parameters
    ----------
    jobs
        The label of each job, by the name under which the yielded function is told about it.
    own_estimate
        The job's words say how much time is left, so that the bar does not.
    own_rows
        The job prints rows while it runs: enough for a log.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    labels = {job: names.one_line(label)[:_LONGEST_LABEL] for job, label in jobs.items()}
    width = max(map(len, labels.values()))
    console = Console(stderr=True)
    if not console.is_terminal:
        yield (lambda job, done, text: None) if own_rows else _tenths(labels)
        return
    columns: list[ProgressColumn] = [
        TextColumn(f"{{task.description:<{width}}}", markup=False),
        *([BarColumn(10)] if console.width >= WIDTH else []),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(Column(min_width=7)),
    ]
    if not own_estimate:
        columns += [
            TimeRemainingColumn(table_column=Column(min_width=7)),
            TextColumn("left"),
        ]
    words = TextColumn(
        "{task.fields[text]}",
        markup=False,
        table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
    )
    with Progress(
        *columns, words, console=console, speed_estimate_period=_PACE_S, expand=True
    ) as progress:
        tasks = {
            job: progress.add_task(label, total=1.0, text="starting")
            for job, label in labels.items()
        }

        def compiling(_: float, text: str) -> None:
            for task in progress.tasks:
                if not task.finished:
                    progress.update(task.id, text=names.one_line(text))

        with with_compilation(compiling):
            yield lambda job, done, text: progress.update(
                tasks[job], completed=done, text=names.one_line(text)
            )


def _tenths(labels: Mapping[str, str]) -> Show:
    """Return what prints a line on the error stream for each tenth of a job.

    In jobs of hours a tenth may take long: then there is a line after `_SILENCE_S` too.
    """
    told, last_s = dict.fromkeys(labels, -1), dict.fromkeys(labels, time.monotonic())

    def show(job: str, done: float, text: str) -> None:
        tenth, now_s = int(10 * done + 1e-9), time.monotonic()
        if tenth > told[job] or now_s - last_s[job] >= _SILENCE_S:
            per_cent = 10 * tenth if tenth > told[job] else int(100 * done + 1e-9)
            told[job], last_s[job] = tenth, now_s
            line = f"{labels[job]}: {per_cent} %  {names.one_line(text)}"
            print(line, file=sys.stderr, flush=True)

    return show


def show_activity(
    stats: Sequence[ActivityStats], equivalents: Mapping[str, Mapping[str, float | None]] = {}
) -> None:
    """Print what was measured, a row for each.

    For a network there is a column for each circuit: the window in which the circuit is as active
    as the network.
    """
    from neurosparse._internal.digits import three_digits
    from neurosparse.comparison.words import quoted
    from neurosparse.report import row

    circuits = list(dict.fromkeys(name for windows in equivalents.values() for name in windows))

    def rows(called: Mapping[str, str], titled: Mapping[str, str]) -> list[dict[str, str]]:
        found = []
        for s in stats:
            cells = row(s, equivalents)
            chosen = {key: cells[key] for key in ("active", "95 % interval")}
            for name in circuits:
                chosen[f"as {called[name]}, in"] = _window(equivalents, s.name, name)
            if not circuits:
                chosen["never active"] = cells["never active"]
            found.append({"name": titled.get(s.name, s.name)} | chosen)
        return found

    table = rows({name: quoted(name) for name in circuits}, {})
    too_wide = circuits and _fitting(_lines(table)) is None
    if too_wide and len(circuits) <= len(string.ascii_uppercase):
        letters = dict(zip(circuits, string.ascii_uppercase, strict=False))
        table = rows(letters, {name: f"{a}: {name}" for name, a in letters.items()})
    show(table)
    parts = [f"active: the share of the units that are active at once ({_definitions(stats)})"]
    if circuits:
        parts.append("as ..., in: the window in which that circuit is as active")
    say(f"{'; '.join(parts)}.")
    say_of_intervals(stats)
    for s in stats:
        alive = s.active_fraction_alive
        if s.kind == "activations" and s.n_silent and alive is not None:
            say(
                f"{s.name}: {three_digits(100 * alive)} % of the {s.n_alive:,} units that are ever"
                f" active; {s.n_silent:,} never are."
            )


def _definitions(stats: Sequence[ActivityStats]) -> str:
    """Return what "active" means, with the names of those that each definition holds for."""
    from neurosparse.comparison.words import quoted

    named: dict[str, list[str]] = {}
    for s in stats:
        named.setdefault(s.active_when.describe(), []).append(quoted(s.name))
    several = [f"{', '.join(who)}: {definition}" for definition, who in named.items()]
    return "; ".join(several if len(named) > 1 else named)


def say_of_intervals(stats: Sequence[ActivityStats]) -> None:
    """Print what the intervals generalise over, and why there is none where there is none."""
    over = list(dict.fromkeys(s.interval.over for s in stats if s.interval.is_known))
    if any(over):
        say(f"95 % interval: for {'; for '.join(filter(None, over))}.")
    for s in stats:
        if not s.interval.is_known:
            say(f"{s.name}: no interval; {s.interval.method}.")


def _window(
    equivalents: Mapping[str, Mapping[str, float | None]], network: str, circuit: str
) -> str:
    from neurosparse.comparison import milliseconds

    if circuit not in equivalents.get(network, {}):
        return "-"
    found = equivalents[network][circuit]
    return "none" if found is None else milliseconds(found)


def show_beyond(stats: Sequence[ActivityStats]) -> None:
    """Print what the mean does not say, a line each."""
    from neurosparse.sparsity.log_normal import row

    words = {"eff. units": "eff.", "sd ln": "spread"}
    show([{words.get(key, key): cell for key, cell in row(s).items()} for s in stats])
    say(
        "eff.: effective units, those that share the activity of a sample. dim.: dimension of the"
        " covariance between units. popul. and lifetime: Treves-Rolls sparseness, low is sparse."
        " spread: standard deviation of ln(rate). log-normal: whether the rates may be so"
        " distributed."
    )


def show(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of text as a table, with the first column to the left.

    Where the terminal is too narrow for it, wrap the first column or turn the table on its side.
    Where that is too wide as well, print a list with a line for each cell that says something. No
    cell is ever cut.
    """
    if not rows:
        return
    lines = _lines(rows)
    if table := _fitting(lines):
        _console().print(table, markup=False)
        return
    (_, *headings), *whole = lines
    width = max(map(len, headings), default=0)
    for first, *cells in whole:
        say(f"\n{first}")
        for heading, cell in zip(headings, cells, strict=True):
            if cell != "-":  # a table needs a sign where nothing applies, a list does not
                say(f"  {heading:<{width}}  {cell}")
    say("")


def _lines(rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Return the head of a table, then its rows."""
    return [
        [names.one_line(cell) for cell in line]
        for line in (rows[0], *(row.values() for row in rows))
    ]


def _fitting(lines: Sequence[Sequence[str]]) -> Table | None:
    """Return the first table that fits: as it is, tight, with names wrapped, on its side."""
    from rich.measure import Measurement

    console = _console()
    endless = console.options.update(max_width=10_000)
    for cells in (lines, [*zip(*lines, strict=True)]):
        for tight in (False, True):
            table = _table(cells, tight=tight)
            room = console.width - Measurement.get(console, endless, table).maximum
            if room >= 0:
                return table
        left = max(len(name) for name, *_ in cells) + room
        words = [len(word) for name, *_ in cells for word in name.split()]
        if cells is lines and left >= max(_LEAST_NAMES, *words):
            table.columns[0].no_wrap, table.columns[0].max_width = False, left
            return table
    return None


def _table(lines: Sequence[Sequence[str]], *, tight: bool) -> Table:
    """Return a table whose first line is its head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=tight)
    # as wide as its cells: a table that has to be squeezed becomes a list
    for k, heading in enumerate(lines[0]):
        table.add_column(Text(heading), no_wrap=True, justify="right" if k else "left")
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return table


def show_json(what: object) -> None:
    """Print data as JSON; a number that is not finite is null."""
    print(json.dumps(_finite(what), indent=1, allow_nan=False, default=str))


def _finite(what: object) -> Any:
    if isinstance(what, float):
        return what if math.isfinite(what) else None
    if isinstance(what, Mapping):
        return {str(key): _finite(value) for key, value in what.items()}
    return [_finite(each) for each in what] if isinstance(what, list | tuple) else what


def finish(
    *lines: str,
    page: Path | None = None,
    then: str = "",
    open_page: bool = False,
    quiet: bool = False,
) -> None:
    """End a command: print where the results are, the page as a link, and what to do next.

    The results are in their place by then.

    Parameters
    ----------
    lines
        Such as "Numbers and figures: results/compare".
    page
        The page; shown in the browser where `open_page`.
    then
        A command to go on with.
    open_page
        Whether to show the page in the browser.
    quiet
        Print nothing: the output is data.
    """
    boundary.results_are_written()
    address = None if page is None else Path(os.path.abspath(page))  # noqa: PTH100
    if not quiet:
        from rich.style import Style
        from rich.text import Text

        console = _console()
        for line in ("", *lines):
            console.print(Text(names.one_line(line)), soft_wrap=True)
        if address is not None:
            link = Text(names.one_line(str(address)), Style(link=address.as_uri()))
            console.print(Text("Page: ") + link, soft_wrap=True)
        if then:
            console.print(Text(f"Next: {then}"), soft_wrap=True)
    if open_page and address is not None:
        import webbrowser

        webbrowser.open(address.as_uri())


def say(what: Any, *, indent: int = 0, hang: int = 0) -> None:
    """Print a text or a table, in at most 80 columns.

    There is no colour where the output is not a terminal. A text may stand after `indent` spaces,
    and its further lines after `hang` more.
    """
    console = _console()
    if not isinstance(what, str):
        console.print(what, markup=False)
        return
    margin = " " * indent
    wrap = textwrap.TextWrapper(
        console.width,
        initial_indent=margin,
        subsequent_indent=margin + " " * hang,
        break_on_hyphens=False,
    )
    for line in what.split("\n"):
        whole = _UNIT.sub("\N{NO-BREAK SPACE}", names.printable(line))
        filled = wrap.fill(whole).replace("\N{NO-BREAK SPACE}", " ")
        console.print(filled, markup=False, soft_wrap=True)


def columns() -> int:
    """Return how wide a line may be."""
    return _console().width


def _console() -> Console:
    from rich.console import Console

    return Console(width=min(WIDTH, Console().width), highlight=False, soft_wrap=False)
