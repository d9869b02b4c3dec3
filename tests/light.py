"""What the light install does, without PyTorch, Brian2, numba and pyarrow: run it in one, or with
--hide to have Python find none of them.
"""

import sys
import tempfile
from pathlib import Path

LEFT_OUT = ("torch", "brian2", "numba", "llvmlite", "pyarrow", "pandas")


class Hide:
    """A finder that finds none of the packages that the light install leaves out."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if "--hide" in sys.argv:
    sys.meta_path.insert(0, Hide())

import numpy as np  # noqa: E402

import neurosparse as ns  # noqa: E402
from neurosparse import comparison, data, energy, lif, plots, recipes, recordings, report  # noqa: E402


def spikes() -> ns.SpikeTrains:
    rng = np.random.default_rng(1)
    times = np.sort(rng.random(2000) * 1000.0)
    return ns.SpikeTrains(
        times, rng.integers(0, 100, 2000), n_units=100, duration_ms=1000.0, dt_ms=None
    )


def measures(folder: Path) -> None:
    recorded = spikes()
    stats = ns.measure(recorded, active_when=ns.ActiveWhen(window_ms=10.0), name='a "b", c')
    silent = np.exp(-20.0 * 0.01)  # 20 Hz, 10 ms
    assert abs(stats.active_fraction - (1 - silent)) < 0.01
    assert abs(stats.mean_rate_hz - 20.0) < 1e-9


def cells(folder: Path) -> None:
    cell = ns.LIF(
        tau_m_ms=20.0,
        resistance_MOhm=100.0,
        e_leak_mV=-70.0,
        v_threshold_mV=-50.0,
        v_reset_mV=-70.0,
        t_ref_ms=2.0,
    )
    # R I = 40 mV, twice the threshold: T = 2 + 20 ln 2 ms
    assert abs(lif.rate(0.4, cell) - 1000.0 / (2.0 + 20.0 * np.log(2.0))) < 1e-9
    assert abs(lif.current(lif.rate(0.4, cell), cell) - 0.4) < 1e-9
    without_noise = lif.siegert_rate(-30.0, 0.01, cell)
    assert abs(without_noise - lif.rate(0.4, cell)) < 1e-3


def files(folder: Path) -> None:
    recorded = spikes()
    recordings.save_spikes(recorded, folder / "spikes.npz")
    again = recordings.load_spikes(folder / "spikes.npz")
    np.testing.assert_array_equal(again.times_ms, recorded.times_ms)
    assert len(data.load("mnist5k").test) == 1000
    assert "potjans2014" in recipes.available("circuit")
    assert energy.budgets()


def page(folder: Path) -> None:
    stats = ns.measure(spikes(), active_when=ns.ActiveWhen(window_ms=10.0), name='a "b", c')
    compared = ns.compare(stats, reference="brain")
    assert compared.answer()
    plots.raster(spikes()).figure.savefig(folder / "raster.png")
    report.write(compared, folder / "page", [])
    assert {"report.html", "comparison.json", "activity.csv"} <= {
        path.name for path in (folder / "page").iterdir()
    }
    (found,) = comparison.load(folder / "page").stats
    for name in ("unit_rates_hz", "unit_active_fraction"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stats, name))
    assert found.unit_mean_magnitude is None
    assert found.active_fraction == stats.active_fraction


def what_needs_more_says_so(folder: Path) -> None:
    from neurosparse import convert, rectifier, spiking

    class Network:
        def forward(self) -> None: ...

    def circuit(engine: str) -> object:
        spec = recipes.load("potjans2014").spec(spiking.CircuitSpec)
        return spiking.run_circuit(spec, scale=0.02, seconds=0.01, seed=1, engine=engine)

    for needs, ask in (
        ("torch", lambda: rectifier.RectifierNetwork),
        ("torch", lambda: convert.to_spiking),
        ("torch", lambda: ns.measure(Network(), [1], active_when=ns.ActiveWhen(threshold=0))),
        ("numba", lambda: circuit("kernel")),
        ("brian2", lambda: circuit("brian2")),
        (
            "brian2",
            lambda: spiking.simulate_population(
                spiking.load_population("cortical_population"), duration_ms=10.0, seed=1
            ),
        ),
    ):
        try:
            ask()
        except ImportError as error:
            told = str(error)
            assert f"needs {needs}, which is not installed: pip install {needs}" in told, told
            assert "\n" not in told
        else:
            raise AssertionError(f"{needs} was not needed")


def commands_that_need_more_say_so(folder: Path) -> None:
    from neurosparse.cli import app, boundary

    out = ("-o", str(folder / "out"))
    for package, words in {
        "torch": ("train", "rectifier", "-o", str(folder / "out.safetensors")),
        "brian2": ("simulate", "cortical_population", *out),
        "numba": ("simulate", "potjans2014", "--scale", "0.02", *out),
    }.items():
        try:
            app(args=words, standalone_mode=False)
        except Exception as error:
            told = boundary.sentence(error)
            assert f"needs {package}, which is not installed: pip install {package}" in told, told
        else:
            raise AssertionError(f"{words} needed no {package}")


def main() -> None:
    import warnings

    warnings.simplefilter("ignore", UserWarning)  # a circuit that is scaled down
    with tempfile.TemporaryDirectory() as name:
        for k, part in enumerate(
            (measures, cells, files, page, what_needs_more_says_so, commands_that_need_more_say_so)
        ):
            folder = Path(name) / str(k)
            folder.mkdir()
            part(folder)
            print(f"light: {part.__name__.replace('_', ' ')}")
    loaded = [package for package in LEFT_OUT if package in sys.modules]
    assert not loaded, loaded


if __name__ == "__main__":
    main()
