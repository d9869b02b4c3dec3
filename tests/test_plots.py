"""Figures: written by suffix, wide as journals ask, labelled at the ends of their lines, told apart
without colours, and drawn from what `measure`, `compare` and `watch` return.
"""

import itertools
import re
from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import neurosparse as ns
from neurosparse import plots
from neurosparse.plots.fitting import spread, wrapped
from neurosparse.plots.look import ink
from neurosparse.sparsity import observe

mpl.use("Agg")
POINTS_PER_MM = 72 / 25.4
HOSTILE = ["$\\frac{1}{0}$", "a $ b $ c", "\x1b[31mred\x00", "_hidden", "äß Ω й", "x" * 90]


def trains(seed: int = 0, **populations: int) -> ns.SpikeTrains:
    """Poisson spikes of unlike rates for 2 s."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum([0, *populations.values()]).tolist()
    counts = rng.poisson(2 * rng.lognormal(1, 1, ends[-1]))
    return ns.SpikeTrains(
        rng.integers(0, 20_000, counts.sum()) * 0.1,
        np.repeat(np.arange(ends[-1]), counts),
        n_units=ends[-1],
        duration_ms=2000.0,
        dt_ms=0.1,
        populations=dict(zip(populations, itertools.pairwise(ends), strict=True)),
    )


def network(name: str, shift: float) -> ns.ActivityStats:
    values = np.maximum(np.random.default_rng(1).normal(-shift, 1, (100, 60)), 0)
    return ns.measure(observe(values, ns.ActiveWhen(threshold=0), name))


@pytest.fixture(autouse=True)
def closed():
    """Close the figures that plots made for themselves."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def spikes() -> ns.SpikeTrains:
    return trains(E=80, I=20, silent=1)


@pytest.fixture(scope="module")
def circuit(spikes) -> ns.ActivityStats:
    return ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="circuit")


@pytest.fixture(scope="module")
def layers() -> dict[str, ns.ActivityStats]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 30), torch.nn.ReLU(), torch.nn.Linear(30, 20), torch.nn.ReLU()
    )
    return ns.measure(net, torch.randn(64, 8), active_when=ns.ActiveWhen(threshold=0))


@pytest.fixture(scope="module")
def comparison(circuit) -> ns.Comparison:
    other = ns.measure(trains(7, x=50), active_when=ns.ActiveWhen(window_ms=10), name="other")
    return ns.compare(circuit, other, *(network(f"net {k}", 0.02 * k) for k in range(5)))


def drawings(comparison, spikes, layers):
    """Every figure of a comparison, a record, a network and a training."""
    rows = [
        {"step": step, **{f"active/{k}": 0.5 - 0.004 * step + 0.002 * k for k in range(6)}}
        for step in range(0, 100, 10)
    ]
    reports = {
        l1: SimpleNamespace(
            name=f"L1 {l1:g}",
            source_accuracy=0.95,
            curve=[SimpleNamespace(steps=2**k, accuracy=0.95 - 0.5**k) for k in range(6)],
            fewest_steps=32,
            spikes=17_000 * (1 - 100 * l1),
            steps=32,
            source=SimpleNamespace(active_fraction=0.4 * (1 - 100 * l1)),
            n_units=300,
        )
        for l1 in (0.0, 1e-4, 1e-3)
    }
    currents = np.linspace(0, 1, 9)
    return {
        "activity_curves": lambda ax: plots.activity_curves(comparison, ax),
        "layers": lambda ax: plots.layers({"a": layers, "b": layers}, ax=ax),
        "activation_histogram": lambda ax: plots.activation_histogram(comparison, ax),
        "rate_histogram": lambda ax: plots.rate_histogram(comparison, ax),
        "rates_by_population": lambda ax: plots.rates_by_population(comparison, ax=ax),
        "windows_by_population": lambda ax: plots.windows_by_population(comparison, ax=ax),
        "raster": lambda ax: plots.raster(spikes, ax),
        "fi_curve": lambda ax: plots.fi_curve(ns.LIF(), currents, currents, ax),
        "activation_functions": plots.activation_functions,
        "training": lambda ax: plots.training(rows, ax=ax, target=0.04),
        "conversion": lambda ax: plots.conversion(reports, ax),
        "l1_to_spikes": lambda ax: plots.l1_to_spikes(reports, ax),
    }


NAMES = sorted(drawings(None, None, None))


@pytest.fixture(scope="module", params=["single", "double"])
def figures(request, comparison, spikes, layers):
    """Every figure at one width, laid out."""
    found = {}
    with plots.style(width=request.param):
        for name, draw in drawings(comparison, spikes, layers).items():
            figure = Figure()
            FigureCanvasAgg(figure)
            draw(figure.add_subplot())
            figure.draw_without_rendering()
            found[name] = figure
    return found


# ---- Files


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".pdf", b"%PDF-"), (".svg", b"<?xml"), (".png", b"\x89PNG"), (".PDF", b"%PDF-")],
)
def test_the_suffix_says_what_is_written(tmp_path, suffix, start) -> None:
    path = tmp_path / f"fig{suffix}"
    plots.save(path, plots.activation_functions)
    assert path.read_bytes().startswith(start)
    first = path.read_bytes()
    plots.save(path, plots.activation_functions)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["fig.jpg", "fig", "fig.pdf.gz"])
def test_other_suffixes_are_refused_before_anything_is_drawn(tmp_path, name) -> None:
    drawn = []
    with pytest.raises(ValueError, match=r"figures are written as \.pdf, \.svg, \.png"):
        plots.save(tmp_path / name, drawn.append)
    with pytest.raises(ValueError, match=r"figures are written as \.pdf, \.svg, \.png"):
        plots.save(tmp_path / "fig.png", drawn.append, also=[".gif"])
    assert not drawn
    assert not list(tmp_path.iterdir())


def test_one_figure_as_several_files(tmp_path) -> None:
    plots.save(tmp_path / "a.b.png", plots.activation_functions, also=[".svg", ".pdf"])
    assert {p.name for p in tmp_path.iterdir()} == {"a.b.png", "a.b.svg", "a.b.pdf"}


def test_what_was_drawn_already_is_written(tmp_path) -> None:
    import matplotlib.pyplot as plt

    plt.close("all")
    with pytest.raises(ValueError, match="there is no figure to write"):
        plots.save(tmp_path / "fig.pdf")
    with plots.style(width="single"):
        ax = plots.activation_functions()
    for k, drawn in enumerate([(), (ax,), (ax.figure,)]):
        plots.save(tmp_path / f"{k}.pdf", *drawn)
        assert page_mm(tmp_path / f"{k}.pdf")[0] == pytest.approx(89, abs=0.1)
    with pytest.raises(ValueError, match="inches and width are for a figure that save draws"):
        plots.save(tmp_path / "fig.pdf", ax, width="double")
    with pytest.raises(TypeError, match="functions that draw, or one figure or axes, got int"):
        plots.save(tmp_path / "fig.pdf", 3)
    with pytest.raises(ValueError, match="pass inches or width, not both"):
        plots.save(tmp_path / "f.pdf", plots.activation_functions, inches=(1, 1), width="single")
    plt.close("all")


def page_mm(path) -> tuple[float, float]:
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", path.read_bytes())
    assert box is not None
    return tuple(float(side) / POINTS_PER_MM for side in box.groups())


@pytest.mark.parametrize(("width", "mm"), [("single", 89), ("double", 183)])
def test_widths_of_journals(tmp_path, width, mm) -> None:
    path = tmp_path / "fig.pdf"
    plots.save(path, plots.activation_functions, width=width)
    assert page_mm(path)[0] == pytest.approx(mm, abs=0.1)
    plots.save(path, plots.activation_functions, plots.activation_functions, width=width)
    assert page_mm(path)[0] == pytest.approx(mm, abs=0.1)  # one above another, or side by side


def test_other_widths_are_refused() -> None:
    with (
        pytest.raises(ValueError, match=r"got 'singel'; did you mean 'single'\?"),
        plots.style(width="singel"),
    ):
        pass


def test_a_style_holds_for_figures_that_make_their_own_axes() -> None:
    import matplotlib.pyplot as plt

    with plots.style(width="double"):
        figure = plots.activation_functions().figure
    assert figure.get_figwidth() * 25.4 == pytest.approx(183)
    plain = plots.activation_functions()
    assert plain.get_title(loc="left")  # as in the package's look, and not in the middle
    assert mpl.rcParams["axes.titlelocation"] == "center"
    plt.close("all")


# ---- Words


@pytest.mark.parametrize("name", NAMES)
def test_letters_can_be_read_in_print_and_nothing_is_cut_off(figures, name) -> None:
    figure = figures[name]
    renderer = figure.canvas.get_renderer()
    for text in shown(figure):
        assert text.get_fontsize() >= 6, text
        box = text.get_window_extent(renderer)
        room = figure.bbox
        assert room.x0 - 1 <= box.x0 <= box.x1 <= room.x1 + 1, text
        assert room.y0 - 1 <= box.y0 <= box.y1 <= room.y1 + 1, text


@pytest.mark.parametrize("name", NAMES)
def test_no_label_lies_on_another(figures, name) -> None:
    figure = figures[name]
    renderer = figure.canvas.get_renderer()
    boxes = [(t.get_text(), Text.get_window_extent(t, renderer)) for t in shown(figure)]
    for (a, one), (b, other) in itertools.combinations(boxes, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(wide, high) <= 1, (a, b)


@pytest.mark.parametrize("name", NAMES)
def test_figures_say_what_is_found_and_in_which_units(figures, name) -> None:
    (ax,) = figures[name].axes
    assert ax.get_title(loc="left")
    assert name in ("layers", "activation_functions", "training") or re.search(
        r"\((ms|Hz|nA|%)\)|steps", ax.get_xlabel() + ax.get_ylabel()
    )


def shown(figure: Figure) -> list[Text]:
    """The texts that are drawn: ticks outside the axes' range are not."""
    ticks = {
        label
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in ticks
    ]


@given(st.lists(st.tuples(st.floats(-50, 150), st.floats(0.5, 20)), min_size=1, max_size=12))
def test_labels_are_spread_in_their_order(given_labels) -> None:
    wanted, heights = map(np.array, zip(*given_labels, strict=True))
    found = spread(wanted, heights, 0.0, 100.0)
    order = np.argsort(wanted, kind="stable")
    gaps = np.diff(found[order]) - (heights[order][1:] + heights[order][:-1]) / 2
    assert (gaps > -1e-9).all()
    if heights.sum() <= 100:
        assert (found - heights / 2 > -1e-9).all()
        assert (found + heights / 2 < 100 + 1e-9).all()
    free = heights.sum() + np.ptp(wanted) < 90 and wanted.min() > 10 and wanted.max() < 90
    if free and (np.diff(np.sort(wanted)) > heights.max()).all():
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_spread_moves_labels_as_little_as_can_be() -> None:
    grid = np.arange(0, 10.5, 0.5)
    wanted, heights = np.array([3.0, 3.0, 8.0]), np.array([2.0, 2.0, 1.0])
    best = min(
        (np.sum((np.array(m) - wanted) ** 2), m)
        for m in itertools.product(grid, repeat=3)
        if m[1] - m[0] >= 2 and m[2] - m[1] >= 1.5
    )[1]
    np.testing.assert_allclose(spread(wanted, heights, -5, 20), best)


@given(st.text(alphabet="\\$ab %", max_size=40))
def test_wrapping_never_wakes_mathematics(text) -> None:
    from neurosparse._internal.names import for_figure

    lines = wrapped(for_figure(text), 1.0, 7.0)
    assert lines.count("$") == lines.count("\\$")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_read_as_mathematics(tmp_path, name) -> None:
    stats = ns.measure(trains(a=20), active_when=ns.ActiveWhen(window_ms=10), name=name)
    net, spikes = network(f"{name} ", 0.5), trains(**{name: 5, "b": 5})
    rows = [{"step": k, f"active/{name}": 0.5, "active/b": 0.4} for k in range(3)]
    plots.save(
        tmp_path / "all.svg",
        lambda ax: plots.activity_curves(ns.compare(stats, net), ax),
        lambda ax: plots.layers({name: {name: net}}, ax=ax),
        lambda ax: plots.activation_histogram(net, ax),
        lambda ax: plots.rate_histogram(stats, ax),
        lambda ax: plots.rates_by_population(stats, ax=ax),
        lambda ax: plots.windows_by_population(stats, ax=ax),
        lambda ax: plots.raster(spikes, ax),
        lambda ax: plots.training(rows, ax=ax),
        width="double",
    )
    written = (tmp_path / "all.svg").read_text()
    assert "\x1b" not in written
    if "$" in name:
        assert written.count("$") >= 8


def test_units_that_are_all_alike_are_drawn_without_a_warning() -> None:
    stats = ns.measure(observe(np.ones((20, 7)), ns.ActiveWhen(threshold=0), "always"))
    ax = plots.activation_histogram(stats, ax=Figure().add_subplot())
    low, high = ax.get_ylim()
    assert low < 100 / 7 < 100 < high  # a bar of one unit, and that of all


# ---- What is given


def test_figures_take_what_measure_and_compare_return(circuit, layers, comparison, spikes) -> None:
    for given_ in (circuit, layers, [circuit, layers], comparison):
        assert plots.activity_curves(given_, Figure().add_subplot()).lines
    for given_ in (layers, {"net": layers}, comparison, network("n", 1)):
        assert plots.layers(given_, ax=Figure().add_subplot()).patches
        assert plots.activation_histogram(given_, ax=Figure().add_subplot()).patches
    parts = {
        p: ns.measure(spikes.population(p), active_when=circuit.active_when, name=p) for p in "EI"
    }
    for given_ in (circuit, parts, [*parts.values()], comparison):
        assert plots.rate_histogram(given_, ax=Figure().add_subplot()).patches
        assert plots.rates_by_population(given_, ax=Figure().add_subplot()).lines
        assert plots.windows_by_population(given_, ax=Figure().add_subplot()).containers


def test_windows_are_those_of_the_comparison(comparison) -> None:
    ax = plots.windows_by_population(comparison, (0.02,), Figure().add_subplot())
    drawn = np.asarray(ax.containers[0].lines[0].get_xdata(), dtype=float)
    found = [at[0.02] for at in comparison.windows_at_ms.values()]
    np.testing.assert_allclose(drawn, np.array(found, dtype=float))


def test_figures_take_what_watch_returns() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ns.watch(model, every=1) as watched:
        for _ in range(3):
            model(torch.randn(16, 4)).square().mean().backward()
            optimizer.step()
    shares = [100 * row["active/1"] for row in watched.history]
    for given_ in (watched, watched.history, list(watched.history)):
        assert (
            plots.training(given_, ax=Figure().add_subplot()).lines[0].get_ydata().tolist()
            == shares
        )
    assert plots.by_epoch(watched, "dead", Figure().add_subplot()).get_ylabel() == "dead units (%)"


@pytest.mark.parametrize("colour", plots.COLOURS[:3])
def test_layers_of_one_colour_have_the_same_dashes_in_every_network(colour) -> None:
    courses = {f"hidden{k}": {1: k, 2: k + 1} for k in range(3)}
    ax = plots.by_epoch(
        courses, "x", Figure().add_subplot(), colours=dict.fromkeys(courses, colour)
    )
    assert [line.get_color() for line in ax.lines[:3]] == [colour] * 3
    other = plots.by_epoch(courses, "x", Figure().add_subplot())
    dashes = [line._dash_pattern for line in ax.lines[:3]]
    assert dashes == [line._dash_pattern for line in other.lines[:3]]
    assert len(set(map(str, dashes))) == 3


def test_the_title_is_of_what_was_found_not_of_what_was_steered(circuit) -> None:
    steered = replace(network("steered", 2.0), provenance={"steered to": 0.01})
    found = replace(network("found", 0.1), provenance={"steered to": None})
    title = plots.activity_curves(ns.compare(circuit, steered, found)).get_title(loc="left")
    assert title.startswith("found: ")
    alone = plots.activity_curves(ns.compare(circuit, steered)).get_title(loc="left")
    assert alone.startswith("steered: ")


def test_what_cannot_be_drawn_is_refused(circuit, layers) -> None:
    with pytest.raises(TypeError, match=r"plots take what neurosparse.measure .* got an int"):
        plots.rate_histogram(3)
    with pytest.raises(ValueError, match="rate_histogram draws firing rates, and nothing here"):
        plots.rate_histogram(layers)
    with pytest.raises(ValueError, match="activation_histogram draws the units of networks"):
        plots.activation_histogram(circuit)
    with pytest.raises(TypeError, match="the statistics of 'circuit' hold none"):
        plots.raster(circuit)


# ---- Colours


def lab(colour, seen=None) -> np.ndarray:
    """CIE L*a*b* of a colour under D65, as is or as seen by a dichromat."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if seen is not None:
        linear = np.clip(np.array(seen) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    relative = (np.array(to_xyz) @ linear) / [0.9505, 1.0, 1.089]
    f = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira & Fernandes 2009, severity 1
DEUTERANOPIA = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
PROTANOPIA = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]


def test_the_simulation_confuses_what_dichromats_confuse() -> None:
    red, green = lab("#c04040", DEUTERANOPIA), lab("#708040", DEUTERANOPIA)
    assert np.linalg.norm(red - green) < np.linalg.norm(lab("#c04040") - lab("#708040")) / 2
    assert lab("#ffffff")[0] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("seen", [None, DEUTERANOPIA, PROTANOPIA])
def test_systems_can_be_told_apart_by_the_colour_blind(seen) -> None:
    for a, b in itertools.combinations(plots.COLOURS, 2):
        assert np.linalg.norm(lab(a, seen) - lab(b, seen)) > 10, (a, b)


def test_systems_can_be_told_apart_in_grey() -> None:
    looks = zip(
        plots.COLOURS, plots.dashed(plots.COLOURS), plots.marked(plots.COLOURS), strict=True
    )
    for (a, *one), (b, *other) in itertools.combinations(looks, 2):
        assert abs(lab(a)[0] - lab(b)[0]) > 20 or (one[0] != other[0] and one[1] != other[1])
    again = [plots.COLOURS[0]] * 8
    assert len({str(dash) for dash in plots.dashed(again)}) == len(set(plots.marked(again))) == 8


def test_lines_of_a_figure_differ_in_dash_and_keep_their_colour(comparison) -> None:
    ax = plots.activity_curves(comparison, Figure().add_subplot())
    lines = {line.get_label().split(" (")[0].split(":")[0]: line for line in ax.lines}
    known = plots.colours(comparison)
    assert {name: lines[name].get_color() for name in known} == known
    patterns = {str(lines[name]._unscaled_dash_pattern) for name in known}
    assert len(patterns) == len(known) == 7


@pytest.mark.parametrize("colour", [*plots.COLOURS, *plots.PARTS, plots.BAND_COLOUR])
def test_texts_in_a_colour_can_be_read_on_white(colour) -> None:
    rgb = np.array(to_rgb(ink(colour)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5


def test_legends_show_dashes_as_dashes(spikes, circuit) -> None:
    with plots.style():
        ax = Figure().add_subplot()
        ax.plot([0, 1], ls="--", label="dashed")
        plots.legend_below(ax)
    legend = ax.get_legend()
    (line,) = legend.get_lines()
    long = legend.handlelength * legend.prop.get_size_in_points()
    pattern = sum(line._unscaled_dash_pattern[1]) * line.get_linewidth()
    assert line.get_linestyle() == "--"
    assert long >= 2 * pattern  # two dashes at least


def test_a_figure_of_ones_own_gets_room_for_its_labels(comparison) -> None:
    figure = Figure()
    plots.activity_curves(comparison, figure.add_subplot())
    assert figure.get_layout_engine() is not None


def test_what_is_refused_leaves_no_figure_open(spikes) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with pytest.raises(ValueError, match="duration_ms"):
        plots.raster(spikes, duration_ms=-1)
    assert plt.get_fignums() == before
    ax = plots.raster(spikes)
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(ax.figure)
