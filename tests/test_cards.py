"""What notebooks show: every result object, and nothing that a name smuggles in."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurosparse as ns
from neurosparse import cards, data, recordings
from neurosparse.comparison import own_band
from neurosparse.convert import to_spiking, verify
from neurosparse.energy import budgets, energy_use
from neurosparse.rectifier import NetworkSpec, TrainSpec, train
from neurosparse.simulation import Simulation
from neurosparse.sparsity import observe
from neurosparse.spiking import FICurve

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
    """The text that a notebook shows for a thing."""
    reader = Reader()
    reader.feed(thing if isinstance(thing, str) else thing._repr_html_())
    assert not reader.open
    assert reader.tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "p"}
    return reader.text


@pytest.fixture
def circuit() -> ns.SpikeTrains:
    rng = np.random.default_rng(0)
    return ns.SpikeTrains(
        rng.integers(0, 1000, 300), rng.integers(0, 50, 300), n_units=50, duration_ms=1000.0, dt_ms=1.0
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


def test_statistics_and_comparisons(stats: ns.ActivityStats) -> None:
    assert f"{100 * stats.active_fraction:.4g}" in read(stats)
    assert "Wilson" in read(stats)
    net = ns.measure(
        nn.Sequential(nn.ReLU()), torch.randn(20, 30), active_when=ns.ActiveWhen(threshold=0), name=HOSTILE
    )
    assert "exactly 0 (%)" in read(net["0"])
    shown = read(ns.compare(stats, net, reference=own_band(f"{HOSTILE}=0.1-0.2")))
    assert HOSTILE in shown
    assert "Given by whoever made this comparison." in shown


def test_runs_and_files(circuit: ns.SpikeTrains, stats: ns.ActivityStats, tmp_path: Path) -> None:
    windows = {f"window_ms_at_{p}_percent": 1.0 for p in (1, 2, 4)}
    row = {"population": HOSTILE, "rate_hz": 3.25, "isi_cv": None, "active_fraction": 0.1, **windows}
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
        "few", *(part.take(slice(None, None, 40)) for part in (splits.train, splits.validation, splits.test))
    )
    result = train(TrainSpec(network=NetworkSpec(sizes=(784, 12, 10)), epochs=1), few)
    assert "784-12-10" in read(result)
    images = torch.tensor(np.array(few.test.images))
    report = verify(to_spiking(result.network, images), images, steps=4)
    assert "hidden1" in read(report)
