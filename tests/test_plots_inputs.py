"""What plots are given: names, definitions, what is silent or was not reached, and what is refused."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import neurosparse as ns
from neurosparse import plots

mpl.use("Agg")
WINDOW = ns.ActiveWhen(window_ms=10)


def axes():
    return Figure().add_subplot()


def spikes(seed: int, n: int = 2000) -> ns.SpikeTrains:
    rng = np.random.default_rng(seed)
    return ns.SpikeTrains(
        rng.uniform(0, 5000, n), rng.integers(0, 200, n), n_units=200, duration_ms=5000.0
    )


def circuit(seed: int, n: int = 2000, name: str = "") -> ns.ActivityStats:
    return ns.measure(spikes(seed, n), active_when=WINDOW, name=name)


def network(seed: int, threshold: float = 0.0, name: str = "") -> dict[str, ns.ActivityStats]:
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 30), torch.nn.ReLU(), torch.nn.Linear(30, 20), torch.nn.ReLU()
    )
    when = ns.ActiveWhen(threshold=threshold)
    return ns.measure(net, torch.randn(64, 8), active_when=when, name=name)


def long_network(n: int) -> dict[str, ns.ActivityStats]:
    one = network(0)["1"]
    names = [f"transformer.encoder_layers.{k}.1" for k in range(n)]
    return {name: replace(one, name=name) for name in names}


def unreached(stats: ns.ActivityStats) -> ns.ActivityStats:
    nothing = np.full(stats.n_units, np.nan)
    return replace(stats, active_fraction=float("nan"), unit_active_fraction=nothing)


def report(name: str = "spiking network", accuracy: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        source_accuracy=accuracy,
        curve=[
            SimpleNamespace(steps=2**k, accuracy=accuracy, agreement=0.1 + 0.18 * k)
            for k in range(6)
        ],
        fewest_steps=32,
        spikes=500.0,
        steps=32,
        source=SimpleNamespace(active_fraction=0.4),
        n_units=300,
    )


def legend(ax) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def heights(ax) -> list[float]:
    return [bar.get_height() for of in ax.containers for bar in getattr(of, "patches", [])]


def labels(ax) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in ax.texts)


# ---- Names


def test_the_key_of_a_dict_is_the_name() -> None:
    two = {"E": circuit(0), "I": circuit(1)}
    for plot in (plots.rates_by_population, plots.windows_by_population):
        assert ticks(plot(two, ax=axes()).yaxis) == ["E", "I"]
    assert [text.split(":")[0] for text in legend(plots.rate_histogram(two, axes()))] == ["E", "I"]
    assert {"E (spikes)", "I (spikes)"} <= {
        line.get_label() for line in plots.activity_curves(two, axes()).lines
    }
    nets = {"trained": network(0), "untrained": network(1)}
    names = ["trained 1", "trained 3", "untrained 1", "untrained 3"]
    found = [text.split(":")[0] for text in legend(plots.activation_histogram(nets, axes()))]
    assert found == names
    lines = [line.get_label().split(":")[0] for line in plots.activity_curves(nets, axes()).lines]
    assert [name for name in lines if name in names] == names


def test_names_that_repeat_are_refused() -> None:
    with pytest.raises(ValueError, match="names must differ, got '1' twice: pass a dict"):
        plots.layers([network(0), network(1)], ax=axes())
    with pytest.raises(ValueError, match="names must differ, got 'spikes' twice"):
        plots.windows_by_population([circuit(0), circuit(1)], ax=axes())


def test_values_and_generators_are_read() -> None:
    layers = network(0)
    for given in (layers.values(), iter(layers.values())):
        assert len(heights(plots.layers(given, ax=axes()))) == 2


def test_reports_are_called_by_their_keys() -> None:
    ax = plots.conversion({"calibrated": report(), "not": report()}, axes())
    assert [line.get_label().split(":")[0] for line in ax.lines[:2]] == ["calibrated", "not"]
    with pytest.raises(ValueError, match="names must differ, got 'spiking network' twice"):
        plots.conversion([report(), report()], axes())


# ---- Layers


def test_each_definition_of_active_has_its_bars() -> None:
    both = {**network(0, 0.0, "N"), "S1": network(1, 0.5, "S")["1"]}
    mixed = ns.compare(*both.values(), mixed_definitions=True)
    ax = plots.layers(mixed, ax=axes())
    assert legend(ax)[1:] == ["active: abs(a) > 0", "active: abs(a) > 0.5"]
    bars = [
        [bar.get_height() for bar in of.patches] for of in ax.containers if hasattr(of, "patches")
    ]
    wanted = [[both["1"], both["3"]], [both["S1"]]]
    assert bars == [[pytest.approx(100 * s.active_fraction) for s in of] for of in wanted]
    assert ticks(ax.xaxis) == ["N 1", "N 3", "S 1"]


def test_no_layer_is_lost_and_circuits_are_left_out() -> None:
    net = network(0)
    for given in (
        {"x": ns.compare(circuit(0), net)},
        {"a": net, "c": circuit(0)},
        ns.compare(circuit(0), net),
    ):
        ax = plots.layers(given, ax=axes())
        assert heights(ax) == [pytest.approx(100 * s.active_fraction) for s in net.values()]
        assert "spike" not in " ".join(legend(ax))
    for given in (circuit(0), {"A": circuit(0)}):
        with pytest.raises(ValueError, match="all here are spikes"):
            plots.layers(given, ax=axes())
    with pytest.raises(TypeError, match="comparison must be a Comparison"):
        plots.layers(net, "x", axes())
    assert "(untrained 1)" in plots.layers(network(0, name="untrained"), ax=axes()).get_title()


def test_networks_are_told_apart_by_hatches_and_dashes() -> None:
    nets = {name: network(k) for k, name in enumerate("abcd")}
    ax = plots.layers(nets, ax=axes())
    hatches = [of.patches[0].get_hatch() for of in ax.containers if hasattr(of, "patches")]
    assert len(set(hatches)) == 4
    many = {f"s{k}": circuit(k) for k in range(12)}
    ax = plots.rate_histogram(many, axes())
    handles = ax.get_legend().get_lines()
    assert len({to_rgb(line.get_color()[:3]) for line in handles}) == 12
    assert len({str(line._unscaled_dash_pattern) for line in handles[:8]}) == 8


# ---- Many, none, not reached


@pytest.mark.parametrize("width", ["single", "double"])
@pytest.mark.parametrize("plot", ["layers", "activity_curves", "activation_histogram", "training"])
def test_a_hundred_layers_fit_a_page_and_the_ends_of_their_names_are_read(plot, width) -> None:
    found = long_network(100)
    rows = [{"step": k, **{f"active/{name}": 0.5 for name in found}} for k in range(3)]
    with plots.style(width):
        figure = Figure()
        ax = getattr(plots, plot)(rows if plot == "training" else found, ax=figure.add_subplot())
    figure.draw_without_rendering()
    assert figure.get_figheight() * 25.4 < 247  # a page of a journal
    texts = [t for t in figure.findobj(Text) if t.get_visible() and "layers" in t.get_text()]
    named = "".join(t.get_text().replace("\n", "") for t in texts)
    assert "layers.0.1" in named
    assert "layers.99.1" in named
    assert 5 < len(texts) < 60
    boxes = [Text.get_window_extent(t) for t in texts if t is not ax._left_title]
    assert all(box.y1 <= ax._left_title.get_window_extent().y0 + 1 for box in boxes)


def test_layers_that_no_input_reached_are_named_and_the_others_drawn() -> None:
    net = network(0)
    found = [net["1"], unreached(net["3"])]
    ax = plots.layers(found, ax=axes())
    assert len(heights(ax)) == 1
    assert legend(ax)[-1] == "no input reached 3"
    ax = plots.activation_histogram(found, axes())
    assert legend(ax)[-1] == "no input reached 3"
    assert ax.get_title().endswith("of 30 units are never active")
    assert "no input reached 3" in labels(plots.activity_curves(found, axes()))
    rows = [{"step": k, "active/1": 0.5, "active/2": float("nan")} for k in range(2)]
    ax = plots.training(rows, ax=axes())
    assert ax.get_title() == "Active units: 50 to 50 %"
    assert "no input reached 2" in labels(ax)
    for plot in (plots.layers, plots.activity_curves, plots.activation_histogram):
        with pytest.raises(ValueError, match="nothing to draw: no input reached '3'"):
            plot(found[1:], ax=axes())


@pytest.mark.filterwarnings("error")
def test_silent_circuits_are_drawn_as_such(tmp_path) -> None:
    silent = circuit(0, 0, "silent")
    for given in ([silent], [circuit(0), silent]):
        ax = plots.windows_by_population(given, ax=axes())
        plots.save(tmp_path / "a.png", ax)
        (note,) = [text for text in ax.texts if text.get_text() == "no window of the record"]
        assert note.get_position()[1] == len(given) - 1
    assert legend(plots.rate_histogram([circuit(0), silent], axes()))[-1] == "silent: no unit fires"
    with pytest.raises(ValueError, match="none of 'silent' does: pass a circuit with spikes"):
        plots.rate_histogram(silent, axes())


def test_nothing_to_draw_is_refused_in_one_sentence() -> None:
    for plot, given, words in (
        (plots.conversion, [], "conversion has nothing to draw"),
        (plots.l1_to_spikes, {}, "l1_to_spikes has nothing to draw"),
        (plots.by_epoch, {}, "courses is empty"),
        (plots.training, {}, "history is empty"),
    ):
        with pytest.raises(ValueError, match=words):
            plot(given, ax=axes())


# ---- Conversions


def test_errors_are_left_out_where_there_were_no_labels() -> None:
    assert "wrong" not in labels(plots.l1_to_spikes({0.0: report(), 0.1: report()}, axes()))
    assert "5.0 % wrong" in labels(plots.l1_to_spikes({0.0: report(accuracy=0.95)}, axes()))


def test_what_is_lost_lies_within_the_axes() -> None:
    ax = plots.conversion(report(), axes())
    low, high = ax.get_ylim()
    assert low == 0
    assert high > 1.2 * max(ax.lines[0].get_ydata())


# ---- Trainings


ROWS = [
    {"step": 0, "active/1": 0.5, "active/3": 0.4},
    {"step": 9, "active/1": 0.3, "active/3": 0.2},
]


def test_several_trainings_in_one_figure() -> None:
    sparse = [{"step": 0, "active/1": 0.5}, {"step": 9, "active/1": 0.1}]
    for draw in (plots.training, plots.by_epoch):
        ax = draw({"dense": ROWS, "sparse": sparse}, "active", axes())
        lines = {line.get_label(): line.get_color() for line in ax.lines}
        assert list(lines) == ["dense 1", "dense 3", "sparse"]
        assert lines["dense 1"] == lines["dense 3"] != lines["sparse"]
        title = ax.get_title().replace("\n", " ")
        assert title == "Active units: dense 45 to 25 %, mean of 2 layers; sparse 50 to 10 %"
    ax = plots.training([ROWS, sparse], ax=axes())
    assert [line.get_label() for line in ax.lines] == ["run 1 1", "run 1 3", "run 2"]


def test_the_frame_of_a_training_is_read() -> None:
    pandas = pytest.importorskip("pandas")
    ax = plots.training(pandas.DataFrame(ROWS), ax=axes())
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([50, 30])


def test_means_are_of_steps_that_all_layers_have() -> None:
    rows = [{"step": 0, "active/1": 0.9}, {"step": 5, "active/1": 0.5, "active/2": 0.3}]
    assert plots.training(rows, ax=axes()).get_title() == "Active units: 40 %, mean of 2 layers"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plots.training([{"active/1": 0.5}]), "has no 'step'"),
        (lambda: plots.training([{"step": 0, "active/1": None}]), "must be a number, got None"),
        (lambda: plots.training(ROWS, target="x"), "target must be a number, got 'x'"),
        (lambda: plots.training(circuit(0)), "history must be a training that was watched"),
        (lambda: plots.by_epoch({"a": network(0)}), "must be a number, got a string"),
        (lambda: plots.raster(circuit(0)), "hold none: pass the SpikeTrains"),
        (lambda: plots.raster([circuit(0)]), "hold none: pass the SpikeTrains"),
        (lambda: plots.raster({"a": circuit(0)}), "hold none: pass the SpikeTrains"),
        (lambda: plots.raster(spikes(0), n_units=0), "n_units must be >= 1, got 0"),
        (lambda: plots.raster(spikes(0), n_units="all"), "n_units must be a whole number"),
        (lambda: plots.brains(beside={"z": "x"}), r"beside\['z'\] must be a number, got 'x'"),
        (lambda: plots.brains(beside={"z": 2}), "must be a share from 0 to 1, got 2"),
    ],
)
def test_errors_say_what_is_wrong_in_one_sentence(draw, words) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        draw()
    assert "\n" not in str(caught.value)


# ---- Rasters and brains


def test_rasters_show_what_is_there() -> None:
    few = plots.raster(spikes(0), axes(), n_units=200).lines[0].get_markersize()
    assert plots.raster(spikes(0), axes(), n_units=9000).lines[0].get_markersize() == few
    one = ns.SpikeTrains([1.0, 5.0], [0, 0], n_units=1, duration_ms=10.0)
    ax = plots.raster(one, axes())
    low, high = sorted(ax.get_ylim())
    assert [t for t in ax.get_yticks() if low <= t <= high] == [0]


def test_what_stands_beside_brains() -> None:
    stats = circuit(0, name="mine")
    for given in (stats, {"mine": stats}, [stats]):
        ax = plots.brains(axes(), beside=given)
        assert ticks(ax.yaxis)[-1] == "mine"
        stars = [line for line in ax.lines if line.get_marker() == "*"]
        assert stars[0].get_xdata() == pytest.approx([100 * stats.active_fraction])
    assert [t.get_text() for t in plots.brains(axes(), beside={"z": 0.0}).texts] == ["0 %"]


@pytest.mark.parametrize("n", [1, 2])
def test_names_of_brains_do_not_overlap_in_figures_of_ones_own(n) -> None:
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(n, n, squeeze=False)
    ax = plots.brains(grid[0, 0])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(b.y1 <= a.y0 + 1 for a, b in itertools.pairwise(boxes))
    plt.close(figure)


# ---- Words and files


def test_words_end_within_the_figure_however_long_the_names_at_the_left_are() -> None:
    import matplotlib.pyplot as plt

    name = "primary visual cortex of the awake mouse, session 715093703, probe C"
    long = [replace(circuit(0), name=name), circuit(1, name="b")]
    with plots.style("double"):
        figure, grid = plt.subplots(2, 2)
    with plots.style("double"):
        plots.rates_by_population(long, ax=grid[0, 0])
        plots.windows_by_population(long, ax=grid[0, 1])
        plots.activity_curves(long, grid[1, 0])
        plots.layers({k: network(0) for k in "abcd"}, ax=grid[1, 1])
    figure.draw_without_rendering()
    for ax in grid.flat:
        right = ax._left_title.get_window_extent().x1
        legend_ = ax.get_legend()
        right = max(right, legend_.get_window_extent().x1 if legend_ else 0)
        assert right <= figure.bbox.x1
    plt.close(figure)


def test_numbers_stay_with_their_units() -> None:
    from neurosparse.plots.fitting import wrapped

    assert all("\nms" not in wrapped("a circuit in 465 ms", k, 5) for k in range(10, 120))


def test_ticks_are_never_powers_of_ten() -> None:
    ax = plots.activation_histogram(network(0), axes())
    ax.figure.draw_without_rendering()
    shown = [
        t.label1.get_text() for t in (*ax.yaxis.get_major_ticks(), *ax.yaxis.get_minor_ticks())
    ]
    assert any(shown)
    assert not any("10^" in text for text in shown)


def test_what_was_drawn_in_a_style_is_saved_at_600_dots_an_inch(tmp_path) -> None:
    with plots.style("single"):
        ax = plots.activation_functions()
    plots.save(tmp_path / "a.png", ax, also=".svg")
    assert (tmp_path / "a.svg").exists()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] == pytest.approx(89 / 25.4 * 600, abs=2)


def test_a_link_stays_and_its_file_is_written(tmp_path) -> None:
    (tmp_path / "real.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    plots.save(tmp_path / "link.png", plots.activation_functions)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("inches", [3, (0, 0), (1,), "single"])
def test_sizes_that_are_none_are_refused(tmp_path, inches) -> None:
    with pytest.raises(ValueError, match="inches must be"):
        plots.save(tmp_path / "a.png", plots.activation_functions, inches=inches)
    with pytest.raises(ValueError, match=r"got \['single'\]"):
        plots.save(tmp_path / "a.png", plots.activation_functions, width=["single"])


def test_plots_load_when_first_used() -> None:
    import subprocess
    import sys

    code = (
        "import sys, neurosparse as ns; assert 'matplotlib' not in sys.modules;"
        " assert ns.plots.save is sys.modules['neurosparse.plots'].save"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
