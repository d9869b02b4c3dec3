"""What people see in the terminal: what is said to a newcomer, the name that was meant, tables that
lose nothing in a narrow window, and data in place of words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from neurosparse import cli, recipes, report
from neurosparse._internal import names
from neurosparse._internal.whole_files import new_folder
from neurosparse.activity import ActiveWhen, SpikeTrains
from neurosparse.cli import boundary, display
from neurosparse.cli import spikes as spikes_in_words
from neurosparse.comparison import compare
from neurosparse.measurement import measure
from neurosparse.recordings import save_spikes
from neurosparse.sweep import kinds


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    """A file with two populations, one of a long name."""
    generator = np.random.default_rng(1)
    trains = SpikeTrains(
        np.sort(generator.uniform(0, 1000, 500)).round(1),
        generator.integers(0, 20, 500),
        n_units=20,
        duration_ms=1000.0,
        dt_ms=0.1,
        populations={LONG: (0, 10), "I": (10, 20)},
    )
    save_spikes(trains, tmp_path / "spikes.npz")
    return tmp_path / "spikes.npz"


LONG = "a population with a name of many words, such as somebody gave it in 1998"


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    assert run(*words) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_alone_it_says_what_it_is_and_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert max(map(len, text.splitlines())) <= 60
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("  neurosparse")]
    assert commands == ["simulate", "train", "measure"]
    assert "How sparse" in text or "how sparse" in text
    assert said(capsys, "--version").startswith("neurosparse ")


COMMANDS = [
    "",
    "compare",
    "simulate",
    "train",
    "measure",
    "convert",
    "sweep",
    "claims",
    "recipes",
    "brains",
]
RUNS = ["runs", "runs list", "runs show", "runs verify", "runs export"]


@pytest.mark.parametrize("columns", ["60", "80"])
def test_no_line_of_help_is_cut_or_too_long(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for command in (*COMMANDS, *RUNS):
        text = said(capsys, *command.split(), "-h")
        assert text == said(capsys, *command.split(), "--help")
        _, *lines = text.splitlines()
        assert not [line for line in lines if line.endswith("...")], command
        assert max(map(len, text.splitlines())) <= int(columns), command


def test_the_help_names_the_sweeps_that_come_along_and_shows_how_runs_are_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = ", ".join(recipes.available(*kinds.names()))
    assert f"comes along ({named})" in " ".join(said(capsys, "sweep", "--help").split())
    assert "neurosparse runs list results/figure3" in said(capsys, "runs", "--help")
    text = " ".join(said(capsys, "train", "--help").split())
    assert '"MACs %" is the share of the multiply-accumulates whose input is not 0' in text


def test_each_line_on_few_cells_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    times, units = rng.uniform(0, 20_000, 4000), rng.integers(0, 4, 4000)
    four = SpikeTrains(times, units, n_units=4, duration_ms=20_000.0)
    one = SpikeTrains(times[:500], units[:500] * 0, n_units=1, duration_ms=20_000.0)
    when = ActiveWhen(window_ms=10.0)
    spikes_in_words.show_spikes([measure(four, active_when=when, name="few")])
    spikes_in_words.show_spikes([measure(one, active_when=when, name="one")])
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "few: no interval for other cells of the same kind; measure at least 30 cells to tell of"
        " others, got 4." in text
    )
    assert "of 1 cell, 100 %" in text


def test_recipes_lists_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(said(capsys, "recipes").split())
    listed = json.loads(said(capsys, "recipes", "--json"))
    assert {each["name"] for each in listed} == set(recipes.available())
    for each in listed:
        assert f"{each['name']} {each['run_time'] or '-'} {each['title']}" in text
        assert each["source"] in text
        assert each["command"] == recipes.COMMANDS[each["kind"]]
    circuits = json.loads(said(capsys, "recipes", "circuit", "--json"))
    assert {each["kind"] for each in circuits} == {"circuit"}
    assert "did you mean 'circuit'?" in said(capsys, "recipes", "circut", code=2)


MEANT = {
    "train rectifer_l1": "did you mean 'rectifier_l1'?",
    "simulate potjans2041": "did you mean 'potjans2014'?",
    "sweep figure3_quik": "did you mean 'figure3_quick'?",
    "train rectifier_l1 --set lerning_rate=1": "did you mean 'learning_rate'?",
    "train rectifier_l1 --set network.size=[1]": "did you mean 'network.sizes'?",
    "train rectifier_l1 --sed 1": "--seed",
    "simulat potjans2014": "simulate",
    "train cortical_population": "use: neurosparse simulate cortical_population",
    "simulate rectifier_l1": "use: neurosparse train rectifier_l1",
    "simulate figure3": "use: neurosparse sweep figure3",
    "train lif_rates": "use: neurosparse convert lif_rates",
    "convert rectifier": "use: neurosparse train rectifier",
    "sweep rectifier": "use: neurosparse train rectifier",
    "claims --only 19": "claim must be 1 to 18, got 19\n",
    "train rectifier_l1 --set l2=1": "the keys are network, data, epochs",
    "brains tang": "no measured brain 'tang'; did you mean 'tang2018'?\n",
    "brains waters": "did you mean 'waters2002' or 'waters2002_run'?\n",
    "brains zzz": "; `neurosparse brains` lists all\n",
    "sweep zzz": "no recipe 'zzz'; there are: figure3, figure3_quick; or",
    "convert zzz": "no recipe 'zzz'; there are: lif_rates; or",
    "measure zzz --data x.npy": "give MODULE:FUNCTION, such as zzz:model",
    "measure zzz.py:make --data x.npy": "give zzz:make",
    "measure json:loads": "give --data, an image set (",
    "compare json:loads json:dumps": "neurosparse measure json:loads --data",
    "compare json:loads json:loads": "json:loads is given twice: leave it out once\n",
    "compare nowhere": "no file or folder nowhere",
    "simulate potjans2014 --seed 9223372036854775808": "got '9223372036854775808'",
    "simulate potjans2014 --seed=9223372036854775808": "got '9223372036854775808'",
    "simulate potjans2014 --seed 9223372036854775807 --seeds 2": "must be at most 92233720368",
    "simulate potjans2014 --seeds 1000000000": "--seeds",
    "simulate potjans2014 --seeds 0": "--seeds",
    "simulate potjans2014 --threads 1000000000": "--threads",
    "claims --threads 0": "--threads",
    "sweep figure3_quick --workers -1": "--workers",
}


@pytest.mark.parametrize("command", MEANT)
def test_the_name_or_command_that_was_meant_is_said_before_any_bar(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    def drawn(*_: Any, **__: Any) -> None:
        raise AssertionError("a bar was drawn")

    for module in (cli.simulating, cli.training, cli.sweeping, cli.claiming, cli.comparing):
        monkeypatch.setattr(module, "bars", drawn)
    text = said(capsys, *command.split(), code=2)
    assert MEANT[command] in text
    assert len(text.splitlines()) == 1
    assert text.startswith("neurosparse: ")
    assert list(tmp_path.iterdir()) == []


ROW = {"name": LONG, "active": "3.71 %", "interval": "3.61-3.81 %", "equals": "12.5 ms"}


def test_a_narrow_table_wraps_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    display.show([ROW])
    _, head, _, first, *others = capsys.readouterr().out.splitlines()
    assert max(map(len, (head, first, *others))) <= 60
    assert head.split() == list(ROW)
    name, _, cells = first.partition("3.71 %")
    assert " ".join(" ".join([name, *others]).split()) == LONG
    assert cells.split() == ["3.61-3.81", "%", "12.5", "ms"]


def test_a_table_that_fits_in_no_way_becomes_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    row = {**ROW, "means": 2 * LONG}
    display.show([row])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 60
    for cell in row.values():
        assert cell in " ".join(text.split())


def test_a_table_that_is_too_wide_is_turned_on_its_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"name": name, **{f"column {k}": f"{k}.5±0.1" for k in range(7)}} for name in "ab"]
    display.show(rows)
    head, _, *lines = filter(None, map(str.split, capsys.readouterr().out.splitlines()))
    assert head == ["name", "a", "b"]
    assert lines == [["column", str(k), *[f"{k}.5±0.1"] * 2] for k in range(7)]


def test_each_of_several_definitions_names_those_it_holds_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trains = SpikeTrains([1.0, 2.0], [0, 1], n_units=2, duration_ms=100.0, dt_ms=0.1)
    windows = {"a": 10.0, "b": 20.0, "c": 10.0}
    display.show_activity(
        [measure(trains, active_when=ActiveWhen(window_ms=w), name=n) for n, w in windows.items()]
    )
    text = " ".join(capsys.readouterr().out.split())
    assert "(a, c: at least one spike in 10 ms; b: at least one spike in 20 ms)" in text


def test_circuits_with_long_names_are_columns_by_letter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trains = SpikeTrains([1.0, 2.0], [0, 1], n_units=2, duration_ms=100.0, dt_ms=0.1)
    places = ("the first of two long names", "the second of two long names", "the network")
    stats = [measure(trains, active_when=ActiveWhen(window_ms=10.0), name=n) for n in places]
    display.show_activity(stats, {places[2]: {places[0]: 12.5, places[1]: None}})
    head, _, *rows = filter(None, map(str.strip, capsys.readouterr().out.splitlines()))
    assert head.split()[-6:] == ["as", "A,", "in", "as", "B,", "in"]
    assert rows[0].startswith("A: the first")
    assert rows[1].startswith("B: the second")
    assert rows[2].startswith("the network")
    assert rows[2].split()[-3:] == ["12.5", "ms", "none"]


def test_a_terminal_gets_an_error_with_its_words_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = "give " + ", ".join(f"word{k}.npz" for k in range(20))
    monkeypatch.setattr(boundary, "run", lambda *_, **__: boundary._fail(error))
    long = said(capsys, "x", code=2)
    assert long == f"neurosparse: {error}\n"  # what a program reads is one line
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = said(capsys, "x", code=2).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines) == long.strip()


@pytest.mark.parametrize("columns", ["60", "80"])
def test_measuring_spikes_loses_no_name(
    spikes: Path,
    columns: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = said(capsys, "measure", spikes)
    assert LONG in " ".join(text.split())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= int(columns)


def test_json_is_data_alone(
    spikes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = json.loads(said(capsys, "measure", spikes, "--json", "--out", tmp_path / "a"))
    assert [each["name"] for each in measured["stats"]] == ["all", LONG, "I"]
    compared = json.loads(said(capsys, "compare", tmp_path / "a", "--json"))
    fractions = [[each["active_fraction"] for each in d["stats"]] for d in (measured, compared)]
    assert fractions[0] == fractions[1]


def test_the_end_is_the_answer_the_page_and_the_next_command(
    spikes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    lines = said(capsys, "measure", spikes, "--out", tmp_path / "a", "--open").splitlines()
    page = tmp_path / "a" / "report.html"
    assert lines[-2] == f"Page: {page}"  # one line, however long
    assert lines[-1].startswith("Next: neurosparse compare ")
    assert " active" in " ".join(lines[:-3])  # the answer comes first
    assert opened == [page.as_uri()]
    assert said(capsys, "measure", spikes).splitlines()[-1].startswith("Next: add --out FOLDER")


def test_a_terminal_gets_the_page_as_a_link(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    display.finish("Numbers: x", page=tmp_path / "report.html")
    assert f";{(tmp_path / 'report.html').as_uri()}\x1b\\" in capsys.readouterr().out


def test_completion_of_recipes() -> None:
    environment = {
        **os.environ,
        "_NEUROSPARSE_COMPLETE": "complete_bash",
        "COMP_WORDS": "neurosparse train rectifier_",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "neurosparse.cli"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == {
        name for name in recipes.available("network") if name.startswith("rectifier_")
    }


def test_names_are_cleaned_in_one_place() -> None:
    assert names.clean("\x1b[2J\x1b]0;title\x07L4\x00 e\ud800\u202e") == "L4? e??"
    assert names.clean(b"\xff\xfe") == "\ufffd\ufffd"
    assert names.clean("") == ""
    assert names.one_line("  a\n\tb  ") == "a b"
    assert names.clean("层 \u03b1 \u00e9") == "层 \u03b1 \u00e9"
    assert names.for_figure("a" * 5_000 + "b" * 5_000) == "a" * 13 + "…" + "b" * 26
    assert names.for_figure("$\\foo$") == r"\$\foo\$"
    assert names.nearest("zzz", ["rectifier", "tanh"]) is None


HOSTILE = ["$\\foo$", "\x1b[31mred\x00", "half \ud800", "_hidden", "层 αβ", "$", "</svg><script>"]


@pytest.mark.filterwarnings("ignore:Glyph")  # a font that lacks a script shows boxes
def test_no_name_breaks_a_figure_or_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import xml.etree.ElementTree as ElementTree

    generator = np.random.default_rng(1)
    trains = SpikeTrains(
        np.sort(generator.uniform(0, 2000, 900)).round(1),
        generator.integers(0, 70, 900),
        n_units=70,
        duration_ms=2000.0,
        dt_ms=0.1,
        populations={name: (10 * k, 10 * k + 10) for k, name in enumerate(HOSTILE)},
    )
    stats = spikes_in_words.measure_parts(trains, ActiveWhen(window_ms=10.0), measure)
    comparison = compare(*stats)
    with new_folder(tmp_path / "out") as folder:
        report.write(comparison, folder, cli.measuring._spike_panels(trains, comparison))
    spikes_in_words.show_spikes(stats)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\x00" not in text
    assert r"$\foo$" in text
    figures = list((tmp_path / "out" / "figures").glob("*.svg"))
    assert len(figures) >= 3
    for figure in figures:
        ElementTree.parse(figure)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "</svg><script>" not in page
    assert "\x1b" not in page


def test_a_number_keeps_its_unit_at_the_end_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for before in range(40, 60):
        display.say(f"{'x' * before} 5.7 % and 12 ms, 3 Hz of 7 sets; a - b")
    text = capsys.readouterr().out
    assert not any(line.rstrip()[-1:].isdigit() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 60


def test_a_list_leaves_out_what_does_not_apply(capsys: pytest.CaptureFixture[str]) -> None:
    display.show(
        [
            {"name": "a", "rate": "-", "active": "0", "means": LONG},
            {"name": "b", "rate": "3", "active": "-", "means": "-"},
        ]
    )
    lines = list(filter(None, map(str.strip, capsys.readouterr().out.splitlines())))
    assert lines[:2] == ["a", "active  0"]
    assert lines[-2:] == ["b", "rate    3"]


def test_progress_in_a_file_has_a_line_a_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with display.bars({"a": "first job", "b": "second"}) as show:
        for k in range(101):
            show("a", k / 100, f"step {k}")
        show("b", 0.37, "two\nlines")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["first job: 0 %  step 0", "first job: 10 %  step 10"]
    assert len(lines) == 12
    assert lines[-1] == "second: 30 %  two lines"


def test_progress_in_a_file_has_a_line_after_a_long_silence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 3000, 100))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(seconds))
    with display.bars({"a": "claims"}) as show:
        for k in range(8):
            show("a", 0.01 * k, f"step {k}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["claims: 0 %  step 0", "claims: 3 %  step 3", "claims: 6 %  step 6"]
