"""Charts for the screen hold what was drawn for paper."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

import neurosparse as ns
from neurosparse import plots
from neurosparse.report.charts import chart
from neurosparse.sparsity import observe


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def networks():
    rng = np.random.default_rng(1)
    when = ns.ActiveWhen(threshold=0)
    layers = {f"hidden{k}": np.maximum(rng.normal(-k, 1, (200, 50)), 0) for k in (1, 2)}
    return {"net": {name: ns.measure(observe(a, when, name)) for name, a in layers.items()}}


def test_lines_keep_their_points_and_their_look(ax):
    ax.plot([1, 2, np.nan], [3.0000001, 4, 5], "o--", color="#0072B2", label="a", lw=2, mfc="none")
    ax.plot([1, 2], [3, 4], ls="none", marker="s", label="_hidden")
    ax.set(title="T", xlabel="x (ms)", ylabel="y (%)", xlim=(0, 5), ylim=(6, 1))
    found = chart(ax)
    line, points = found["traces"]
    assert line["x"] == [1, 2, None]
    assert line["y"] == [3, 4, 5]
    assert line["line"] == {"color": "#0072b2", "dash": "dash", "width": 2}
    assert (line["mode"], line["marker"]["symbol"]) == ("lines+markers", "circle-open")
    assert (points["mode"], points["name"]) == ("markers", "")
    assert found["x"] == {"label": "x (ms)", "type": "linear", "range": [0, 5]}
    assert found["y"]["range"] == [6, 1]  # upside down as drawn
    assert found["title"] == "T"


def test_a_dash_of_ones_own_keeps_its_lengths(ax):
    dashes = ["-", "--", (0, (10, 3)), (0, (1, 3))]
    for dash in dashes:
        ax.plot([1, 2], [1, 2], ls=dash, lw=2)
    ax.stairs([1, 2], ls=(0, (10, 3)), lw=1)
    drawn = [trace["line"]["dash"] for trace in chart(ax)["traces"]]
    assert drawn == ["solid", "dash", "20px,6px", "2px,6px", "10px,3px"]


def test_levels_reach_from_edge_to_edge_and_bands_lie_behind(ax):
    ax.set(xscale="log", xlim=(0.1, 1000))
    ax.axhline(4, label="level")
    ax.axvline(10)
    ax.axhspan(1, 4, color="yellow", alpha=0.5, label="band*")
    found = chart(ax)
    level, upright = found["traces"]
    assert (level["x"][0], level["x"][-1], set(level["y"])) == (0.1, 1000, {4})
    assert set(upright["x"]) == {10}
    assert found["bands"] == [
        {"name": "band", "from": 1, "to": 4, "color": "#ffff00", "opacity": 0.5}
    ]
    assert found["x"]["range"] == [-1, 3]  # decades


@pytest.mark.parametrize("flat", [False, True])
def test_bars_have_their_ends_and_their_errors(ax, flat):
    errors = {"xerr" if flat else "yerr": [[0.5, 1], [0.25, 2]]}
    (ax.barh if flat else ax.bar)([0, 1], [3, 4], 0.6, label="b", **errors)
    (bars,) = chart(ax)["traces"]
    along, across = ("x", "y") if flat else ("y", "x")
    assert (bars[along], bars[across], bars["width"]) == ([3, 4], [0, 1], [0.6, 0.6])
    error = bars[f"error_{along}"]
    assert (error["arrayminus"], error["array"]) == ([0.5, 1], [0.25, 2])
    assert bars["orientation"] == "h" if flat else "v"


def test_points_with_errors_are_one_trace(ax):
    ax.errorbar([1, np.nan, 2], [0, 1, 2], xerr=[0.1, 0.1, 0.2], fmt="s", capsize=2, label="e")
    (points,) = chart(ax)["traces"]
    assert (points["name"], points["x"], points["y"]) == ("e", [1, None, 2], [0, 1, 2])
    assert points["error_x"]["array"] == [0.1, None, 0.2]


def test_steps_and_outlines(ax):
    ax.stairs([5, 7], [0, 1, 2], fill=True, label="s")
    ax.hist([0.5, 1.5, 1.6], [0, 1, 2], histtype="step", label="h")
    steps, outline = chart(ax)["traces"]
    assert (steps["x"], steps["y"], steps["line"]["shape"], steps["fill"]) == (
        [0, 1, 2],
        [5, 7, 7],
        "hv",
        "tozeroy",
    )
    assert max(outline["y"]) == 2
    assert "fill" not in outline


def test_named_ticks_and_notes(ax):
    ax.plot([0, 1], [1, 2])
    ax.set_xticks([0, 1], ["<b>", "I"])
    ax.set_yscale("log", base=2)
    ax.annotate("here", (1, 2), xytext=(3, 4), textcoords="offset points")
    ax.annotate("footnote", (1, 0), xycoords="axes fraction")
    found = chart(ax)
    assert (found["x"]["tickvals"], found["x"]["ticktext"]) == ([0, 1], ["<b>", "I"])
    assert found["y"]["tickvals"] == [1, 2]
    (note,) = found["notes"]
    assert (note["text"], note["shift"]) == ("here", [3, 4])
    np.testing.assert_allclose(note["at"], [1, np.log10(2)], rtol=1e-5)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: ax.scatter([1], [2]),
        lambda ax: ax.imshow([[1, 2]]),
        lambda ax: ax.fill_between([1, 2], [1, 2]),
        lambda ax: ax.set_yscale("symlog"),
        lambda ax: ax.fill([0, 1, 1], [0, 0, 1]),
        lambda ax: ax.axvspan(0, 1),
        lambda ax: ax.plot(range(30_000)),
    ],
)
def test_a_figure_with_what_has_no_counterpart_stays_as_it_is(ax, draw):
    ax.plot([1, 2], [3, 4])
    assert chart(ax) is not None
    draw(ax)
    assert chart(ax) is None


def test_the_figures_of_the_package_become_charts(ax, networks):
    spikes = ns.SpikeTrains([1.0, 3.0, 7.0], [0, 1, 0], n_units=3, duration_ms=10.0, dt_ms=0.5)
    circuit = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=2), name="circuit")
    net = networks["net"]["hidden1"]
    comparison = ns.compare(circuit, net)
    plots.activity_curves(comparison, ax)
    found = chart(ax)
    curve, level, dots = found["traces"]
    windows, fractions = comparison.curve(circuit)
    np.testing.assert_allclose(curve["x"], windows, rtol=1e-5)
    np.testing.assert_allclose(curve["y"], 100 * fractions, rtol=1e-5)
    assert set(level["y"]) == {float(f"{100 * net.active_fraction:.6g}")}
    assert len(dots["x"]) == 1
    assert (found["bands"][0]["from"], found["bands"][0]["to"]) == (1, 4)

    others = [
        lambda a: plots.fi_curve(ns.LIF(), [0.1, 0.5], [0.0, 80.0], a),
        plots.activation_functions,
        lambda a: plots.rate_histogram([circuit], a),
        lambda a: plots.rates_by_population([circuit], {"circuit": 3.0}, a),
        lambda a: plots.activation_histogram([net], a),
        lambda a: plots.layers(networks, comparison, a),
        lambda a: plots.by_epoch({"net": {0: 3.0, 1: 2.0}}, "error (%)", a),
    ]
    for draw in others:
        found = chart(draw(Figure().add_subplot()))
        assert found is not None
        assert found["traces"]


def test_a_bar_without_an_interval_keeps_its_number(ax):
    rows = np.repeat(np.eye(40)[:2], 200, axis=0)  # inputs in a row are alike
    one = ns.measure(observe(rows, ns.ActiveWhen(threshold=0), "hidden1"))
    plots.layers(
        {"net": {"hidden1": replace(one, interval=replace(one.interval, low=np.nan, high=np.nan))}},
        ax=ax,
    )
    [note] = chart(ax)["notes"]
    assert note["at"][1] == pytest.approx(100 * one.active_fraction)
