"""The folder of results: figures that open, a page that stands alone, names that stay text."""

import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

import neurosparse as ns
from neurosparse import plots, report
from neurosparse.sparsity import observe

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def spikes():
    rng = np.random.default_rng(0)
    rates = rng.lognormal(1.0, 0.8, 300)  # Hz
    counts = rng.poisson(rates * 5)
    ticks = rng.integers(0, 50_000, counts.sum())
    units = np.repeat(np.arange(300), counts)
    return ns.SpikeTrains(
        ticks * 0.1, units, n_units=300, duration_ms=5000.0, dt_ms=0.1, populations={"E": (0, 240), "I": (240, 300)}
    )


@pytest.fixture(scope="module")
def comparison(spikes):
    rng = np.random.default_rng(1)
    when = ns.ActiveWhen(threshold=0)
    net = ns.measure(observe(np.maximum(rng.normal(-1.5, 1, (200, 400)), 0), when, HOSTILE))
    circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")
    return ns.compare(circuit, net, provenance={"seed": 1, "versions": {"x": HOSTILE}})


@pytest.fixture(scope="module")
def folder(comparison, spikes, tmp_path_factory):
    directory = tmp_path_factory.mktemp("report") / "out"
    panel = report.Panel("raster", "Spikes", f"A caption with {HOSTILE}.", lambda ax: plots.raster(spikes, ax))
    report.write(comparison, directory, [panel])
    return directory


class Page(HTMLParser):
    """What a page refers to, and its elements."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.references, self.text, self.images = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.references += [values[name] for name in ("src", "href", "action", "data") if name in values]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone(folder):
    html = (folder / "report.html").read_text()
    page = Page(html)
    assert page.references
    assert all(reference.startswith("data:") for reference in page.references)
    assert not re.search(r"@import|url\(\s*['\"]?http", html)
    assert len(html) < 6e6


def test_names_stay_text(folder):
    page = Page((folder / "report.html").read_text())
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 4  # answer, table, caption, provenance


def test_the_page_holds_the_numbers(folder, comparison):
    text = Page((folder / "report.html").read_text()).text
    for sentence in comparison.answer():
        assert sentence in text
    for band in comparison.bands:
        assert band.caption in text
        assert band.source in text
    assert "at least one spike in 10 ms" in text
    assert "abs(a) > 0" in text


def test_figures_can_be_opened_and_are_described(folder):
    page = Page((folder / "report.html").read_text())
    names = {"active_fraction_over_window", "raster"}
    assert {p.stem for p in (folder / "figures").iterdir()} == names
    for name in names:
        pixels = matplotlib.image.imread(folder / "figures" / f"{name}.png")
        assert pixels[..., :3].std() > 0.01  # something is drawn
        assert "<svg" in (folder / "figures" / f"{name}.svg").read_text()
    assert len(page.images) == 2
    assert all(len(image["alt"]) > 20 for image in page.images)


def test_the_same_data_give_the_same_figures(folder, comparison, tmp_path):
    report.write(comparison, tmp_path)
    name = "figures/active_fraction_over_window.svg"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_every_plot_takes_axes_or_makes_them(comparison, spikes):
    import matplotlib.pyplot as plt

    parts = [
        ns.measure(spikes.population(p), active_when=ns.ActiveWhen(window_ms=10), name=p) for p in spikes.populations
    ]
    drawings = [
        lambda ax: plots.activity_curves(comparison, ax),
        lambda ax: plots.fi_curve(ns.LIF(), [0.1, 0.5], [0.0, 80.0], ax),
        plots.activation_functions,
        lambda ax: plots.raster(spikes, ax),
        lambda ax: plots.rate_histogram(parts, ax),
        lambda ax: plots.activation_histogram(list(comparison.networks), ax),
        lambda ax: plots.layers({"net": {"hidden1": comparison.networks[0]}}, comparison, ax),
        lambda ax: plots.by_epoch({"net": {0: 3.0, 1: 2.0}}, "error (%)", ax),
    ]
    for draw in drawings:
        _, ax = plt.subplots()
        assert draw(ax) is ax
        assert draw(None) is not ax
        assert ax.has_data()
        assert ax.get_xlabel() or ax.get_ylabel()
        plt.close("all")
