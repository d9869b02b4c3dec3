"""The folder of results: figures that open, a page that stands alone, names that stay text."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import matplotlib.image
import numpy as np
import pytest

import neurosparse as ns
from neurosparse import plots, report
from neurosparse.comparison import milliseconds, percent
from neurosparse.report import panel
from neurosparse.sparsity import observe

MAIN = "active_fraction_over_window"
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def spikes():
    rng = np.random.default_rng(0)
    rates = rng.lognormal(1.0, 0.8, 300)  # Hz
    counts = rng.poisson(rates * 5)
    ticks = rng.integers(0, 50_000, counts.sum())
    units = np.repeat(np.arange(300), counts)
    return ns.SpikeTrains(
        ticks * 0.1,
        units,
        n_units=300,
        duration_ms=5000.0,
        dt_ms=0.1,
        populations={"E": (0, 240), "I": (240, 300)},
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
    caption = f"A caption with {HOSTILE}."
    raster = report.Panel(
        "raster", "Spikes", caption, lambda ax: plots.raster(spikes, ax), spikes=spikes
    )
    verdicts = [{"claim": HOSTILE, "effect": 0.12345, "seeds": 1200, "verdict": None}]
    report.write(
        comparison, directory, [raster, report.Panel("claims", "Claims", caption, table=verdicts)]
    )
    return directory


class Page(HTMLParser):
    """What a page refers to, and its elements."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.references, self.text, self.images = [], [], "", []
        self.scripts, self.cells = {}, []  # by type: script, json, the packed library
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        if tag == "script":
            self.scripts[values.get("type")] = ""
        self.references += [
            values[name] for name in ("src", "href", "action", "data") if name in values
        ]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data):
        tag = self.tags[-1] if self.tags else None
        if tag == "script":
            self.scripts[[*self.scripts][-1]] += data
        elif tag in ("td", "th"):
            self.cells.append(data)
        self.text += data


def data_of(folder):
    return json.loads(Page((folder / "report.html").read_text()).scripts["application/json"])


def test_the_page_stands_alone(folder):
    html = (folder / "report.html").read_text()
    page = Page(html)
    assert page.references
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert not re.search(r"@import|url\(\s*['\"]?http", html)
    assert "default-src 'none'" in html  # a browser would refuse to ask for anything
    assert len(html) < 6e6
    plotly = gzip.decompress(base64.b64decode(page.scripts["text/plain"]))
    vendored = resources.files(report) / "vendored"
    assert hashlib.sha256(plotly).hexdigest() in (vendored / "README.md").read_text()


def test_names_stay_text(folder):
    page = Page((folder / "report.html").read_text())
    assert list(page.scripts) == ["application/json", None, "text/plain"]  # ours, and no other
    assert page.tags.count("script") == 3
    assert page.text.count(HOSTILE) >= 4  # answer, table, caption, provenance
    assert "<" not in page.scripts["application/json"]
    assert HOSTILE in {
        trace["name"].split(":")[0] for trace in data_of(folder)["charts"][MAIN][0]["traces"]
    }


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
    assert not (tmp_path / "figures/claims.svg").exists()
    name = "figures/active_fraction_over_window.svg"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_network_and_a_circuit_have_one_colour_on_the_whole_page(comparison, spikes, tmp_path):
    circuit, net = comparison.stats
    whole = ns.compare(*comparison.stats, replace(circuit, name="E"), replace(net, name="other"))
    colours = plots.colours(whole)
    other, networks = whole.networks[1], [*whole.networks][::-1]
    panels = [
        report.Panel(
            "rates",
            "t",
            "c",
            lambda ax: plots.rate_histogram([whole.circuits[1]], ax, colours=colours),
        ),
        report.Panel(
            "units", "t", "c", lambda ax: plots.activation_histogram(networks, ax, colours=colours)
        ),
        report.Panel(
            "layers", "t", "c", lambda ax: plots.layers({"other": {"layer": other}}, whole, ax)
        ),
        report.Panel(
            "course",
            "t",
            "c",
            lambda ax: plots.by_epoch({"other": {0: 1.0}}, "error", ax, colours=colours),
        ),
        report.Panel(
            "raster", "t", "c", lambda ax: plots.raster(spikes, ax, colours=colours), spikes=spikes
        ),
    ]
    report.write(whole, tmp_path, panels)
    data = data_of(tmp_path)
    found = {
        (name, key): (trace.get("line") or trace["marker"])["color"].upper()
        for key, (drawn,) in data["charts"].items()
        for trace in drawn["traces"]
        for name in colours
        if re.match(rf"{re.escape(name)}(:| \(|$)", trace["name"])
    }
    assert len(found) == 4 + 1 + 2 + 1 + 1
    found |= {
        (p["name"], "raster"): p["colour"].upper() for p in data["rasters"]["raster"]["populations"]
    }
    assert found.pop(("I", "raster")) == plots.PARTS[1].upper()  # of the raster alone
    assert found == {(name, key): colours[name] for name, key in found}
    assert len({*colours.values(), *plots.PARTS}) == 4 + len(plots.PARTS)


def test_the_legend_says_of_which_circuit_the_window_is(comparison):
    labels = [line.get_label() for line in plots.activity_curves(comparison).lines]
    window = milliseconds(comparison.equivalent_window_ms[HOSTILE]["circuit"])
    assert any(label.endswith(f", as circuit in {window}") for label in labels)


def test_tables_write_numbers_and_leave_out_what_is_empty(folder):
    page = Page((folder / "report.html").read_text())
    assert {HOSTILE, "0.123", "1,200"} <= set(page.cells)
    assert "verdict" not in page.cells
    rows = [{"a": 1.5, "b": True, "c": None}, {"a": float("nan"), "d": "x"}]
    assert panel.cells(rows) == [{"a": "1.5", "b": "yes", "d": "-"}, {"a": "-", "b": "-", "d": "x"}]
    assert panel.cells([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "a b", "draw": plots.activation_functions}, "key must be letters"),
        ({"key": "../a", "draw": plots.activation_functions}, "key must be letters"),
        ({"key": "empty"}, "shows nothing: pass draw, table or both"),
        (
            {
                "key": "raster",
                "table": [{"a": 1}],
                "spikes": ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=2.0),
            },
            "pass draw as well",
        ),
    ],
)
def test_panels_that_cannot_be_shown_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        report.Panel(**arguments, title="t", caption="c")


def test_two_panels_of_one_key_are_refused(comparison, tmp_path):
    with pytest.raises(ValueError, match=f"keys of panels must differ, got '{MAIN}' twice"):
        report.write(
            comparison, tmp_path, [report.Panel(MAIN, "t", "c", plots.activation_functions)]
        )


def test_windows_are_written_as_people_read_them():
    written = {
        0.1234: "0.123 ms",
        3.1: "3.1 ms",
        119.3: "119 ms",
        999.7: "1,000 ms",
        11442: "11,400 ms",
        1.23456e6: "1,230,000 ms",
    }
    assert [milliseconds(value) for value in written] == list(written.values())


def test_the_answer_in_one_sentence(comparison):
    circuit, net = comparison.stats
    sentence = panel.headline(comparison)
    window = comparison.equivalent_window_ms[HOSTILE]["circuit"]
    assert sentence.startswith(
        f"The network “{HOSTILE}” has {percent(net.active_fraction)} of its units active"
    )
    assert sentence.endswith(
        f"as many as fire in “circuit” in {window:.3g} ms: above the 1-4 % said of the brain."
    )
    alone = panel.headline(ns.compare(circuit))
    assert (
        alone
        == f"In “circuit” {percent(circuit.active_fraction)} of the neurons fire in 10 ms: within"
        " the 1-4 % said of the brain."
    )
    assert panel.headline(ns.compare(net)).endswith(
        "active for one input: above the 1-4 % said of the brain."
    )


def test_every_plot_takes_axes_or_makes_them(comparison, spikes):
    import matplotlib.pyplot as plt

    parts = [
        ns.measure(spikes.population(p), active_when=ns.ActiveWhen(window_ms=10), name=p)
        for p in spikes.populations
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
