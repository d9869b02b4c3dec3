"""What notebooks show: every result object, and nothing that a name smuggles in."""

import copy
import inspect
import json
import pickle
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurosparse as ns
from neurosparse import data, recipes, recordings
from neurosparse._internal import cards, printed
from neurosparse.comparison import difference, own_band
from neurosparse.convert import to_spiking, verify
from neurosparse.energy import allowance, budgets, energy_use
from neurosparse.meanfield import Rates
from neurosparse.probe.history import History
from neurosparse.recordings import Recording
from neurosparse.rectifier import NetworkSpec, PretrainSpec, TrainSpec, pretrain, train
from neurosparse.simulation import Simulation
from neurosparse.sparsity import observe
from neurosparse.sparsity.log_normal import log_normal
from neurosparse.spiking import FICurve
from neurosparse.sweep import Sweep

HOSTILE = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """Refuses what is not closed; keeps tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def read(thing: object) -> str:
    """The text that a notebook shows for a thing, which also fits a terminal."""
    if not isinstance(thing, str | recipes.Spec):  # a spec is asked for, and prints all it holds
        assert_fits(thing)
    reader = Reader()
    reader.feed(thing if isinstance(thing, str) else thing._repr_html_())
    assert not reader.open
    assert reader.tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "p"}
    return reader.text


def assert_fits(thing: object) -> None:
    """In print it is no more than a screen, however narrow the terminal is."""
    for width in (60, 80):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(width))
            lines = str(thing).split("\n")
        assert len(lines) <= printed.LINES
        assert max(map(len, lines)) <= width


@pytest.fixture
def circuit() -> ns.SpikeTrains:
    rng = np.random.default_rng(0)
    return ns.SpikeTrains(
        rng.integers(0, 1000, 300),
        rng.integers(0, 50, 300),
        n_units=50,
        duration_ms=1000.0,
        dt_ms=1.0,
    )


@pytest.fixture
def stats(circuit: ns.SpikeTrains) -> ns.ActivityStats:
    return ns.measure(circuit, active_when=ns.ActiveWhen(window_ms=10.0), name=HOSTILE)


def test_everything_is_escaped() -> None:
    for html in (
        cards.card(HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE]),
        cards.grid(HOSTILE, [{HOSTILE: HOSTILE}], [HOSTILE]),
    ):
        assert read(html).count("<script>alert(1)</script>&\"'") == 4


def test_cells_are_readable() -> None:
    assert read(cards.card("x", {"a": 1234567, "b": 0.123456, "c": None, "d": True})).split() == [
        *("x", "a", "1,234,567", "b", "0.1235", "c", "-", "d", "True")
    ]


def test_print_gives_a_line_for_each_that_has_something_to_say() -> None:
    card = cards.Card("x", {"a": 1234567, "bcd": 0.123456, "c": None}, ["A note."])
    assert card.text().split("\n") == ["x", "a    1,234,567", "bcd  0.1235", "A note."]
    rows = [{"layer": f"{k}", "active (%)": 10.0 * k} for k in range(3)]
    assert cards.Card("x", rows).text().split("\n")[1:] == [
        *("layer  active (%)", "0               0", "1              10", "2              20")
    ]


def test_of_many_lines_print_shows_the_first_the_last_and_those_that_matter() -> None:
    rows = [{"layer": f"layer{k}", "units": k} for k in range(100)]
    lines = cards.Card("x", rows, ["A note."], more=".rows", keep=[41]).text().split("\n")
    assert len(lines) == printed.LINES
    assert [line.split()[0] for line in (*lines[2:5], *lines[-4:-2])] == [
        *("layer0", "layer1", "layer2", "layer41", "layer99")
    ]
    assert lines[-2:] == ["... 89 more rows: .rows", "A note."]


def test_what_has_no_room_is_never_left_out_without_a_word(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    wide = [{"name": "n" * 70} | {f"column {k}": 1.0 for k in range(20)}]
    *_, row, last = cards.Card("t" * 500, wide * 9, more=".rows").text().split("\n")
    assert row.startswith("nnn")
    assert "…" in row
    assert last == "... 14 more columns: .rows"
    few = cards.Card("x", [{"name": "a word " * 9, "value": "v" * 40}, {"name": "b"}]).text()
    assert few.count("word") == 9  # a name wraps where there is room
    assert few.split("\n")[-1].split() == ["b", "-"]
    long = cards.Card("x", {"value": "word " * 30}, ["note " * 300], more=".notes").text()
    assert long.count("word") == 30
    assert long.endswith("more lines: .notes")
    assert all("..." not in line for line in long.split("\n")[:-1])


def test_a_terminal_that_is_wide_leaves_lines_short(monkeypatch) -> None:
    for said, width in (("200", 80), ("60", 60), ("1", 40), ("x", 80)):
        monkeypatch.setenv("COLUMNS", said)
        assert printed.columns() == width


def test_the_layers_of_a_network_are_a_dict_that_prints_as_a_table() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Sequential(nn.Linear(20, 20), nn.ReLU()) for _ in range(40)))
    when = ns.ActiveWhen(threshold=0)
    found = ns.measure(network, torch.randn(20, 20), active_when=when)
    assert isinstance(found, dict)
    assert len(found) == 40
    assert "active (%)" in read(found)
    lines = str(found).split("\n")
    assert lines[0] == "40 layers; active means abs(a) > 0"
    names = [line.split()[0] for line in lines[2:-1]]
    by_activity = sorted(found, key=lambda name: found[name].active_fraction)
    assert {"0.1", "39.1", by_activity[-1]} <= set(names)
    least = found[by_activity[0]].active_fraction
    assert least in {found[name].active_fraction for name in names}
    assert lines[-1] == f"... {40 - len(names)} more rows: print one of them"
    unpickled = pickle.loads(pickle.dumps(found))  # noqa: S301 - its own
    for same in (copy.copy(found), copy.deepcopy(found), found.copy(), found | {}, unpickled):
        assert same == found == dict(found)
        assert str(same) == str(found)
    assert json.loads(json.dumps(found, default=lambda of: of.name))["0.1"] == "0.1"
    assert ns.compare(found).stats == tuple(found.values())
    assert_fits(type(found)())


def test_the_course_of_a_training_prints_as_a_table() -> None:
    layers = {f"{what}/{k}": 0.5 for what in ("zeros", "active") for k in range(9)}
    history = History({"step": step, **layers, "active": 0.25} for step in range(50))
    assert_fits(history)
    assert_fits(History())
    first, head, *_, last = str(history).split("\n")
    assert first == "50 looks"
    assert head.split()[:3] == ["step", "active", "active/0"]
    assert last == "... 38 more rows and 12 more columns: .to_pandas()"
    assert repr(history) == repr(list(history))


def test_statistics_and_comparisons(stats: ns.ActivityStats) -> None:
    assert f"{100 * stats.active_fraction:.4g}" in read(stats)
    assert "Wilson" in read(stats)
    net = ns.measure(
        nn.Sequential(nn.ReLU()),
        torch.randn(20, 30),
        active_when=ns.ActiveWhen(threshold=0),
        name=HOSTILE,
    )
    assert "exactly 0 (%)" in read(net["0"])
    shown = read(ns.compare(stats, net, reference=own_band(f"{HOSTILE}=0.1-0.2")))
    assert HOSTILE in shown
    assert "Given by whoever made this comparison." in shown


def test_runs_and_files(circuit: ns.SpikeTrains, stats: ns.ActivityStats, tmp_path: Path) -> None:
    windows = {f"window_ms_at_{p}_percent": 1.0 for p in (1, 2, 4)}
    row = {
        "population": HOSTILE,
        "rate_hz": 3.25,
        "isi_cv": None,
        "active_fraction": 0.1,
        **windows,
    }
    assert "3.25" in read(Simulation(ns.compare(stats), (row,), notes=(HOSTILE,)))
    recording = recordings.read(recordings.save_spikes(circuit, tmp_path / "<b>.npz"))
    assert "<b>.npz" in read(recording)
    assert "Attwell" in read(energy_use(circuit, next(iter(budgets()))))


def test_what_was_observed(circuit: ns.SpikeTrains) -> None:
    shown = read(replace(circuit, populations={HOSTILE: (0, 50)}))
    assert HOSTILE in shown
    assert "300" in shown
    assert HOSTILE in read(observe(np.ones((20, 30)), ns.ActiveWhen(threshold=0), HOSTILE))
    two = np.array([1.0, 2.0])
    assert "largest error (%) 100" in " ".join(read(FICurve(two, 2 * two, two, circuit)).split())


def test_trained_and_converted_networks() -> None:
    splits = data.load("mnist5k")
    few = data.Splits(
        "few",
        *(
            part.take(slice(None, None, 40))
            for part in (splits.train, splits.validation, splits.test)
        ),
    )
    result = train(TrainSpec(network=NetworkSpec(sizes=(784, 12, 10)), epochs=1), few)
    assert "784-12-10" in read(result)
    images = torch.tensor(np.array(few.test.images))
    spiking = to_spiking(result.network, images)
    assert "hidden1" in read(verify(spiking, images, steps=4))
    assert f"validation error {100 * result.validation_error:.2f} %" in read(result.best)
    assert "hidden1" in read(pretrain(PretrainSpec(network=result.spec.network, epochs=1), few))
    assert "weights by percentile" in read(spiking)
    run = spiking.run(images, steps=4)
    spikes = run.spike_counts["hidden1"]
    rate_hz = 1e3 * float(spikes.sum()) / spikes.numel() / (4 * run.dt_ms)
    assert ["hidden1", "12", f"{float(spikes.sum()) / len(images):.4g}", f"{rate_hz:.4g}"] == read(
        run
    ).split()[-5:-1]
    assert read(few).split()[-7:-1] == ["test", str(len(few.test)), "28", "x", "28", "10"]
    assert "28 x 28" in read(few.test)


def test_numbers_found(circuit: ns.SpikeTrains, stats: ns.ActivityStats) -> None:
    assert f"{stats.curve.window_ms(0.04):.4g}" in read(stats.curve)
    other = replace(stats, name="other")
    assert difference(stats, other).sentence() in read(difference(stats, other))
    assert "median 3" in " ".join(read(log_normal([1.0, 2.0, 3.0, 4.5, 9.0])).split())
    assert "active in 10 ms" in read(
        allowance(1e9, next(iter(budgets())), window_ms=10, rate_while_active_hz=50)
    )
    rates = Rates(*(np.array([k, k + 0.5]) for k in range(6)))
    assert read(rates).split()[-7:] == ["1", "0.5", "1.5", "2.5", "3.5", "4.5", "5.5"]
    assert HOSTILE in read(Sweep(({"run": HOSTILE},), 3, 1, ()))
    assert "epochs 7" in " ".join(read(TrainSpec(epochs=7)).split())


# ---- None is left out
# --------------------------------------------------------------------------------------------------

# What public functions also return, and nobody looks at in a notebook: parameters, and what is
# passed on to the next function.
NO_RESULTS = {
    "Band",
    "BrainWindow",
    "Budget",
    "Checkpoint",
    "Circuit",
    "ClaimModule",
    "Interval",
    "LIF",
    "Linear",
    "Panel",
    "Plausibility",
    "Recipe",
    "Replaced",
    "RunLock",
    "Screening",
    "State",
    "Task",
    "Trained",
    "Verdict",
    "Watch",
}


def public_functions() -> Iterator[object]:
    """Functions and methods of the names that the package and its modules and packages give."""
    for module in [
        ns,
        *(import_module(m.name) for m in pkgutil.iter_modules(ns.__path__, "neurosparse.")),
    ]:
        own = [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        ]
        for name in getattr(module, "__all__", own):
            value = getattr(module, name)
            inside = (
                vars(value).items()
                if inspect.isclass(value) and value.__module__.startswith("neurosparse")
                else []
            )
            for each in [value, *(v for n, v in inside if not n.startswith("_"))]:
                function = inspect.unwrap(
                    getattr(each, "fget", None) or getattr(each, "__func__", each)
                )
                if inspect.isfunction(function) and not function.__name__.startswith("_"):
                    yield function


def returned(function: object) -> set[type]:
    """The classes of this package in what a function says that it returns."""
    loaded = [
        vars(module) for name, module in [*sys.modules.items()] if name.startswith("neurosparse")
    ]
    found = set()
    for name in re.findall(r"\w+", str(function.__annotations__.get("return"))):
        homes = [
            names for names in [function.__globals__, *loaded] if inspect.isclass(names.get(name))
        ]
        found |= {
            names[name] for names in homes[:1] if names[name].__module__.startswith("neurosparse")
        }
    return found


def test_every_result_of_a_public_function_is_shown() -> None:
    results = {of for function in public_functions() for of in returned(function)}
    assert {"Run", "Rates", "Comparison", "ActivityStats", "ConversionReport", "Finding"} <= {
        c.__name__ for c in results
    }
    bare = {
        c.__name__
        for c in results
        if not hasattr(c, "_repr_html_") and not issubclass(c, nn.Module | Exception)
    }
    assert bare == NO_RESULTS
    raw = {c.__name__ for c in results - {Recording} if hasattr(c, "_repr_html_")}
    raw -= {c.__name__ for c in results if issubclass(c, cards.Shown | recipes.Spec)}
    assert raw == set()
