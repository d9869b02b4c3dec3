"""The folder of results: figures that open, a page that stands alone, names that stay text."""

import base64
import gzip
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib import metadata, resources

import matplotlib.image
import numpy as np
import pytest

import neurosparse as ns
from neurosparse import plots, report
from neurosparse.comparison import milliseconds
from neurosparse.report import answer, brains, methods, panel, provenance, verdict
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
            self.kind = values.get("type")
            self.scripts.setdefault(self.kind, "")
        self.references += [
            values[name] for name in ("src", "href", "action", "data") if name in values
        ]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data):
        tag = self.tags[-1] if self.tags else None
        if tag == "script":
            self.scripts[self.kind] += data
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
    assert list(page.scripts) == [None, "application/json", "text/plain"]  # ours, and no other
    assert page.tags.count("script") == 4
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


def test_more_than_eight_still_have_each_a_colour(comparison):
    net = comparison.networks[0]
    many = ns.compare(*(replace(net, name=str(k)) for k in range(16)))
    assert len({*plots.colours(many).values()}) == 16


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
        ({"key": "a", "table": [{"a": 1}], "section": "answer"}, "section of panel 'a' must be"),
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


def stats_of(kind, name, fraction, **provenance):
    """Statistics of a network or circuit that is exactly so active."""
    rng = np.random.default_rng(2)
    if kind == "network":
        values = np.zeros((10, 1000))
        values[:, : round(1000 * fraction)] = 1.0
        when = ns.ActiveWhen(threshold=0)
        return ns.measure(observe(values, when, name), provenance=provenance)
    n = round(1000 * fraction)  # cells that fire in every tick; the others never
    ticks, units = np.divmod(np.arange(50 * n), n)
    trains = ns.SpikeTrains(
        ticks * 1.0, rng.permutation(1000)[units], n_units=1000, duration_ms=50.0, dt_ms=1.0
    )
    stats = ns.measure(trains, active_when=ns.ActiveWhen(window_ms=10), name=name)
    return replace(stats, provenance=provenance)


def test_the_answer_says_what_was_found_before_what_was_steered():
    parts = [
        stats_of("network", "sparse", 0.04, **{"steered to": 0.04, "test error": 0.05}),
        stats_of("network", "penalised", 0.2, **{"penalty": 0.01, "test error": 0.03}),
        stats_of("network", "plain", 0.44, **{"penalty": 0.0, "test error": 0.049}),
        stats_of("network", "worse", 0.3, **{"penalty": 0.0, "test error": 0.2}),
        stats_of("circuit", "a", 0.03),
        stats_of("circuit", "b", 0.03),
        stats_of("circuit", "twin", 0.9, **{"steered to": 0.04}),
    ]
    found = answer.sentences(ns.compare(*parts))
    assert found[:2] == [
        "In any 10 ms about 3 of 100 neurons fire in both circuits.",
        "“plain” uses 44 of 100 units for an input. Steered to be sparse, “sparse” uses 4 of 100."
        " It gives 5.0 % of the test data the wrong class, compared with 4.9 % for “plain”.",
    ]
    assert "twin" not in " ".join(found)
    digits = "the 1,000 test images of mnist5k (handwritten digits)"
    told = [replace(s, provenance=s.provenance | {"tested on": digits}) for s in parts[:3]]
    assert answer.sentences(ns.compare(*told))[0].endswith(
        " uses 4 of 100. It gives 5.0 % of the 1,000 test images of mnist5k (handwritten digits)"
        " the wrong class, compared with 4.9 % for “plain”."
    )
    assert f"It gives 3.0 % of {digits} the wrong class." in methods.paragraph(ns.compare(*told))
    # errors on other data are not compared
    assert answer.sentences(ns.compare(told[0], parts[2]))[0].endswith(f"{digits} the wrong class.")
    systems = answer.overview(ns.compare(*parts)).systems
    assert [s.name for s in systems if "a price on activity (L1)" in s.about] == ["penalised"]
    marked = [(s.name, s.steered) for s in systems]
    assert [name for name, steered in marked if steered] == ["twin", "sparse"]
    assert [steered for _, steered in marked] == sorted(steered for _, steered in marked)


@pytest.mark.parametrize(
    ("parts", "first"),
    [
        ([("circuit", 0.03)], "In any 10 ms about 3 of 100 neurons fire in “0”."),
        (
            [("circuit", 0.03), ("circuit", 0.5)],
            "In any 10 ms about 3 of 100 neurons fire in “0” and 50 of 100 in “1”.",
        ),
        (
            [("circuit", 0.03), ("circuit", 0.2), ("circuit", 0.5), ("circuit", 0.1)],
            "In any 10 ms about 3 of 100 neurons fire in the sparsest of 4 circuits, “0”, and"
            " 50 of 100 in the most active, “2”.",
        ),
        ([("network", 0.2)], "“0” uses 20 of 100 units for an input."),
        (
            [("network", 0.2), ("network", 0.5)],
            "Of 2 networks “0” uses the fewest units for an input, 20 of 100, and “1” the most,"
            " 50 of 100.",
        ),
    ],
)
def test_the_first_sentence_of_every_kind_of_comparison(parts, first):
    stats = [stats_of(kind, str(k), fraction) for k, (kind, fraction) in enumerate(parts)]
    assert answer.sentences(ns.compare(*stats))[0] == first


def test_the_brains_figure_is_always_said_with_its_windows(comparison):
    circuit, net = comparison.stats
    low, high = (circuit.curve.window_ms(f) for f in (0.01, 0.04))
    windows = f"{low:.3g} to {high:.3g} ms"
    assert answer.sentences(comparison)[-1] == (
        f"The 1-4 % said of the brain come without a window: in “circuit” they take {windows}."
    )
    assert answer.band_windows(comparison, circuit) == windows
    assert not any("1-4 %" in sentence for sentence in answer.sentences(ns.compare(net)))


def test_each_system_has_its_place_on_the_log_axis():
    parts = [stats_of("network", "n", 0.1), stats_of("circuit", "c", 0.01)]
    found = answer.overview(ns.compare(*parts))
    circuit, network = found.systems
    assert (circuit.at, circuit.low, circuit.high, circuit.lit) == (0.0, 0.0, 0.0, 1)
    assert (network.at, network.lit, network.share) == (50.0, 10, "10.0 %")
    assert found.ticks[0] == (0.0, "1")
    assert found.ticks[-1] == (100.0, "100")
    assert found.band == (0.0, pytest.approx(100 * np.log10(4) / 2, abs=0.01))


def test_methods_name_what_was_measured_and_references_have_their_doi(comparison):
    text = methods.paragraph(comparison)
    circuit = comparison.circuits[0]
    assert (
        f"300 neurons, recorded for 5 s at a mean rate of {circuit.mean_rate_hz:.3g} Hz; its window is 10 ms."
        in text
    )
    assert circuit.interval.method in text
    cited = methods.bibtex(comparison)
    assert re.findall(r"@\w+{(\w+),", cited)[:4] == [
        "neurosparse",
        "glorot2011",
        "attwell2001",
        "lennie2003",
    ]
    assert "10.1097/00004647-200110000-00001" in cited
    assert "10.1016/S0960-9822(03)00135-0" in cited
    assert "potjans2014" not in cited
    assert cited.count("{") == cited.count("}")
    column = replace(circuit, name="potjans2014")
    assert "10.1093/cercor/bhs358" in methods.bibtex(ns.compare(column))


def test_the_files_in_the_page_hold_the_numbers(comparison):
    import io

    import pandas as pd

    found = {
        file.name: io.BytesIO(base64.b64decode(file.uri.split(",")[1]))
        for file in methods.files(comparison)
    }
    as_csv, as_parquet = (
        pd.read_csv(found["numbers.csv"]),
        pd.read_parquet(found["numbers.parquet"]),
    )
    for table in (as_csv, as_parquet):
        assert table["name"].tolist() == [s.name for s in comparison.stats]
        np.testing.assert_allclose(
            table["active_fraction"], [s.active_fraction for s in comparison.stats]
        )
    curves = pd.read_csv(found["curves.csv"])
    windows, fractions = comparison.curve(comparison.circuits[0])
    np.testing.assert_allclose(curves["window_ms"], windows)
    np.testing.assert_allclose(curves["active_fraction"], fractions)


def test_every_measured_brain_is_a_row_with_its_source(folder):
    from neurosparse.reference import recordings

    rows = brains.measured_rows()
    text = Page((folder / "report.html").read_text()).text
    assert len(rows) == len(recordings()) >= 20
    for row, brain in zip(rows, recordings().values(), strict=True):
        assert brain.source in text
        assert row["source"].endswith(f"(doi:{brain.doi})" if brain.doi else brain.source)
        assert brain.doi in text
        assert ("unverified" in row["read in"]) == (brain.trust == "C")
        assert (row["read in"] == "the source itself") == (brain.trust == "A")
    rest = recordings()["waters2002"]  # cells of 1 Hz
    (row,) = brains.measured_rows([rest])
    assert (row["measured"], row["1 % in"]) == (rest.measured(), "10 ms")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/x/bin/neurosparse", "compare", "a b"], "neurosparse compare 'a b'"),
        (["/x/neurosparse/__main__.py", "claims"], "neurosparse claims"),
        (["simulations/03_x.py", "--quick"], "python 03_x.py --quick"),
        (["/x/ipykernel_launcher.py", "-f", "kernel.json"], None),
        (["-c"], None),
        ([""], None),
    ],
)
def test_the_command_that_repeats_it(arguments, said):
    assert provenance.command(arguments) == said


def test_an_interval_lies_against_its_criterion():
    inf, nan = float("inf"), float("nan")
    found = verdict.strip(verdict.Measured("t", "e", "h", 1.0, 0.0, 2.0, -2.0, 2.0))
    assert found.least < found.low < found.mean < found.high == found.most
    open_end = verdict.strip(verdict.Measured("t", "e", "h", 1.0, 0.5, 1.5, 0.0, inf))
    assert (open_end.most, open_end.mean) == (100.0, pytest.approx(62.8, abs=0.1))
    alone = verdict.strip(verdict.Measured("t", "e", "h", 1.0, nan, nan, -inf, 2.0))
    assert alone.least == 0.0
    assert alone.low == alone.mean == alone.high
    with pytest.raises(ValueError, match="must be one of holds, undecided"):
        verdict.Verdict(1, "c", "true")


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


def test_versions_are_those_of_what_is_installed(monkeypatch):
    known = metadata.version

    def version(package):
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr(metadata, "version", version)
    versions = report.environment()["versions"]
    assert "torch" not in versions
    assert versions["numpy"] == np.__version__


def test_provenance_names_the_processor_where_kernels_are_compiled(monkeypatch):
    from neurosparse.report import provenance

    assert report.environment()["processor"] == provenance._processor()["processor"] != ""
    provenance._processor.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert "processor" not in report.environment()
    provenance._processor.cache_clear()


@pytest.mark.parametrize(
    ("provenance", "called"),
    [({"recipe": "potjans2014"}, "potjans2014"), ({"recording": {"file": "x/day 1.csv"}}, "day 1")],
)
def test_the_page_of_one_source_is_called_by_it(provenance, called):
    spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=50, duration_ms=10.0, dt_ms=1.0)
    whole = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10), name="all")
    part = replace(whole, name="E")
    comparison = ns.compare(whole, part, provenance=provenance)
    assert answer.subject(comparison) == called
    assert f": in “{called} (all)” " in answer.sentences(comparison)[-1]
    text = methods.paragraph(comparison)
    assert f"“{called} (all)” has 50 neurons" in text
    assert "Intervals are of 95 %" in text
    assert "missing" not in text
    short = replace(whole.interval, low=float("nan"), high=float("nan"), method="record 9 s")
    text = methods.paragraph(ns.compare(replace(whole, interval=short)))
    assert "Where an interval is missing: record 9 s." in text
    assert "of 95 %" not in text
