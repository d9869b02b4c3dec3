"""Values with units: each library's are converted, and none passes in a wrong dimension."""

from __future__ import annotations

import datetime
import importlib
import inspect
import pkgutil
import re
import tempfile
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import brian2
import numpy as np
import pandas as pd
import pint
import pytest
import quantities as pq
import torch
from astropy import units as au

import neurosparse as ns
from neurosparse import data as ns_data
from neurosparse import energy, lif, meanfield, recipes, recordings, rectifier, sparsity, spiking
from neurosparse._internal import checks
from neurosparse._internal.units import plain
from neurosparse.spiking.circuit import load as load_circuit
from neurosparse.spiking.circuit import resolve
from neurosparse.spiking.circuit_specs import CellSpec
from neurosparse.spiking.population import load_population

brian2.prefs.codegen.target = "numpy"
REGISTRY = pint.UnitRegistry()
# library -> a quantity of numbers in the unit of that name
LIBRARIES: dict[str, Callable[[Any, str], Any]] = {
    "brian2": lambda x, unit: brian2.Quantity(np.asarray(x, float) * float(_BRIAN[unit]), dim=_BRIAN[unit].dim),
    "quantities": pq.Quantity,
    "pint": REGISTRY.Quantity,
    "astropy": au.Quantity,
}  # fmt: skip
_BRIAN = {
    "s": brian2.second, "ms": brian2.ms, "us": brian2.us, "mV": brian2.mV, "V": brian2.volt,
    "nA": brian2.nA, "pA": brian2.pA, "Hz": brian2.Hz, "kHz": brian2.kHz, "Mohm": brian2.Mohm,
    "pF": brian2.pF, "nS": brian2.nS,
}  # fmt: skip
any_library = pytest.mark.parametrize("library", LIBRARIES)


# ---- Conversion
# --------------------------------------------------------------------------------------------------


def test_masks_are_not_dropped() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    with pytest.raises(ValueError, match="times_ms has masked values: leave them out"):
        ns.SpikeTrains(masked, [0, 1, 0], n_units=2, duration_ms=5.0)
    with pytest.raises(ValueError, match="has masked values"):
        sparsity.treves_rolls(masked)
    whole = np.ma.masked_array([1.0, 2.0, 3.0])
    assert sparsity.treves_rolls(whole) == sparsity.treves_rolls([1.0, 2.0, 3.0])


def test_series_of_pynapple_are_in_seconds() -> None:
    nap = pytest.importorskip("pynapple")
    np.testing.assert_allclose(plain("times_ms", nap.Ts([0.1, 0.25])), [100, 250], rtol=1e-14)
    with pytest.raises(TypeError, match="times_ms must be in ms"):
        plain("times_ms", nap.Tsd([0.1, 0.25], d=[3, 4]))
    np.testing.assert_array_equal(plain("rates", nap.Tsd([0.1, 0.25], d=[3, 4])), [3, 4])


def test_arrays_of_xarray_carry_their_unit_as_netcdf_does() -> None:
    xr = pytest.importorskip("xarray")
    for unit, factor in (("s", 1e3), ("seconds", 1e3), ("ms", 1), ("us", 1e-3), ("µs", 1e-3)):
        array = xr.DataArray([0.3, 7.0], attrs={"units": unit})
        np.testing.assert_allclose(plain("times_ms", array), [0.3 * factor, 7 * factor], rtol=1e-14)
    for attrs in ({}, {"units": "1"}):
        np.testing.assert_array_equal(plain("times_ms", xr.DataArray([0.3], attrs=attrs)), [0.3])
    for name, unit in (("times_ms", "mV"), ("times_ms", "fortnight"), ("rates", "s")):
        with pytest.raises(TypeError, match=f"{name} must be"):
            plain(name, xr.DataArray([0.3], attrs={"units": unit}))


@any_library
@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [
        ("times_ms", "s", 1e3),
        ("times_ms", "us", 1e-3),
        ("duration_s", "ms", 1e-3),
        ("seconds", "ms", 1e-3),
        ("rate_hz", "kHz", 1e3),
        ("mean_mV", "V", 1e3),
        ("current_nA", "pA", 1e-3),
        ("weight_pA", "nA", 1e3),
        ("resistance_MOhm", "Mohm", 1),
        ("c_pF", "pF", 1),
        ("g_nS", "nS", 1),
    ],
)
def test_the_name_says_the_unit(library: str, name: str, unit: str, factor: float) -> None:
    quantity = LIBRARIES[library]
    given = [0.3, 7.0, 12.5]
    expected = np.array(given) * factor
    np.testing.assert_allclose(plain(name, quantity(given, unit)), expected, rtol=1e-14)
    np.testing.assert_allclose(
        plain(name, [quantity(x, unit) for x in given]), expected, rtol=1e-14
    )
    assert checks.number(name, quantity(given[0], unit)) == float(f"{expected[0]:.15g}")
    array = checks.finite_array(name, quantity([given], unit))
    assert type(array) is np.ndarray
    np.testing.assert_allclose(array, [expected], rtol=1e-14)


@any_library
@pytest.mark.parametrize(
    ("name", "unit"),
    [("times_ms", "mV"), ("rate_hz", "s"), ("mean_mV", "nA"), ("rates", "Hz"), ("n", "s"),
     ("supply_ATP_per_s", "s"), ("current_nA", "mV"), ("resistance_MOhm", "nS")],
)  # fmt: skip
def test_a_wrong_dimension_is_refused(library: str, name: str, unit: str) -> None:
    quantity = LIBRARIES[library]
    for given in (quantity([1.0, 2.0], unit), [quantity(1.0, unit)], [[0.0, quantity(1.0, unit)]]):
        with pytest.raises(TypeError, match=rf"^{name} must be (in \w+, or|without a unit)"):
            checks.finite_array(name, given)
    with pytest.raises(TypeError, match=rf"^{name} must be (in \w+, or|without a unit)") as caught:
        checks.number(name, quantity(1.0, unit))
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError):
        checks.whole(name, quantity(1.0, unit))


@any_library
def test_a_number_without_dimension_needs_no_unit(library: str) -> None:
    quantity = LIBRARIES[library]
    if library == "brian2":
        ratio = brian2.Quantity(3.0)
    else:
        ratio = quantity(6.0, "s") / quantity(2.0, "s")
    assert checks.number("fraction", ratio) == 3.0


def test_plain_values_stay_what_they_are() -> None:
    for value in (None, 3, 2.5, "text", [1, 2], [(1, 2), (3, 4)], (), np.arange(3)):
        assert np.array_equal(plain("times_ms", value), value) or value is None
    assert plain("times_ms", None) is None
    tensor = torch.ones(3)
    assert plain("current_nA", tensor) is tensor


# ---- Where they come in
# --------------------------------------------------------------------------------------------------

TIMES_S = np.array([0.005, 0.025, 0.105, 0.125, 0.905])
UNITS = np.array([0, 1, 0, 1, 1])


@any_library
def test_spike_trains_of_times_with_units(library: str) -> None:
    quantity = LIBRARIES[library]
    right = ns.SpikeTrains(
        TIMES_S * 1e3, UNITS, n_units=3, duration_ms=1000, intervals=[(0, 400), (500, 1000)]
    )
    found = ns.SpikeTrains(
        quantity(TIMES_S, "s"),
        UNITS,
        n_units=3,
        duration_ms=quantity(1.0, "s"),
        intervals=quantity([(0, 0.4), (0.5, 1)], "s"),
    )
    assert found.ticks.tolist() == right.ticks.tolist()
    assert found.interval_ticks.tolist() == right.interval_ticks.tolist()
    window = ns.ActiveWhen(window_ms=quantity(0.01, "s"))
    assert window == ns.ActiveWhen(window_ms=10)
    fraction = ns.measure(found, active_when=window).active_fraction
    assert fraction == ns.measure(right, active_when=window).active_fraction
    in_s = ns.SpikeTrains.from_seconds(
        quantity(TIMES_S * 1e3, "ms"), UNITS, n_units=3, duration_s=quantity(1000.0, "ms")
    )
    assert in_s.ticks.tolist() == right.ticks.tolist()
    assert len(found.between(quantity(0.0, "s"), quantity(0.1, "s"))) == 2
    assert sparsity.synchrony(found, quantity(0.05, "s")) == sparsity.synchrony(found, 50)
    np.testing.assert_array_equal(
        sparsity.activity_curve(found)(quantity([0.01, 0.1], "s")),
        sparsity.activity_curve(found)([10, 100]),
    )
    with pytest.raises(TypeError, match=r"^units must be without a unit, got "):
        ns.SpikeTrains(TIMES_S, quantity(UNITS, "s"), n_units=3, duration_ms=1000)


def test_a_brian2_monitor_read_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(brian2.prefs, "codegen.target", "numpy")  # nothing to compile
    cells = brian2.SpikeGeneratorGroup(3, UNITS, TIMES_S * brian2.second)
    monitor = brian2.SpikeMonitor(cells)
    brian2.Network(cells, monitor).run(1 * brian2.second)
    found = ns.SpikeTrains(monitor.t, monitor.i, n_units=3, duration_ms=1 * brian2.second)
    np.testing.assert_allclose(found.times_ms, TIMES_S * 1e3)
    assert found.units.tolist() == UNITS.tolist()
    assert ns.SpikeTrains(monitor.t[:], monitor.i[:], n_units=3, duration_ms=1e3) == found


def test_a_neo_train() -> None:
    neo = pytest.importorskip("neo")
    train = neo.SpikeTrain(TIMES_S * pq.s, t_stop=1.0)
    found = ns.SpikeTrains(train, UNITS, n_units=3, duration_ms=train.t_stop)
    np.testing.assert_allclose(found.times_ms, TIMES_S * 1e3)


@any_library
def test_cells_and_rates(library: str) -> None:
    quantity = LIBRARIES[library]
    cell = ns.LIF(
        tau_m_ms=quantity(0.02, "s"),
        resistance_MOhm=quantity(100.0, "Mohm"),
        e_leak_mV=quantity(-0.07, "V"),
        v_threshold_mV=quantity(-50.0, "mV"),
    )
    assert cell == ns.LIF()
    assert lif.rate(quantity(300.0, "pA"), cell) == pytest.approx(lif.rate(0.3, cell))
    assert lif.current(quantity([0.02], "kHz"), cell) == pytest.approx(lif.current([20], cell))
    siegert = lif.siegert_rate(quantity([-0.06], "V"), quantity(5.0, "mV"), cell)
    assert siegert == pytest.approx(lif.siegert_rate([-60], 5, cell))
    tensor = lif.siegert_rate(torch.tensor([-60.0]), quantity(0.005, "V"), cell)
    assert tensor.tolist() == pytest.approx(siegert.tolist())
    assert energy.ATP_per_s(quantity([0.004], "kHz"), "attwell2001") == pytest.approx(
        energy.ATP_per_s([4], "attwell2001")
    )


@any_library
def test_specs_convert_too(library: str) -> None:
    quantity = LIBRARIES[library]
    spec = spiking.cells.LIFSpec(
        tau_m_ms=quantity(0.02, "s"), e_leak_mV=-70, v_threshold_mV=-50, v_reset_mV=-70, t_ref_ms=2
    )
    assert spec.tau_m_ms == 20.0
    with pytest.raises(
        ValueError, match="tau_m_ms must be in ms, or in a unit that converts to it, got "
    ):
        spiking.cells.LIFSpec(
            tau_m_ms=quantity(0.02, "V"),
            e_leak_mV=-70, v_threshold_mV=-50, v_reset_mV=-70, t_ref_ms=2,
        )  # fmt: skip
    assert CellSpec.model_fields  # a spec of circuits, of the same base
    assert issubclass(CellSpec, recipes.Spec)


# ---- Nothing passes in a wrong dimension
# --------------------------------------------------------------------------------------------------

# Records that check their values and are still made by the package alone
MADE_HERE = re.compile(
    r"ActivityStats|ActivityCurve|Comparison|examine|from_margins|MeasuredBrain|transformer\."
)
# Rooms in which every number is tried, beside all arrays and all arguments with a unit of the rest
CORE = re.compile(
    r"neurosparse\.(activity|sparsity|lif|energy|meanfield|spiking|convert|reference|recordings)\b"
)
_TRAINS = ns.SpikeTrains([1.0, 30.0], [0, 1], n_units=3, duration_ms=100.0)
_CELL = ns.LIF()
_FILE = recordings.save_spikes(_TRAINS, Path(tempfile.mkdtemp()) / "spikes.npz")
_IMAGES = ns_data.ImageSet(np.zeros((2, 4)), [0, 1], 2, (4,))
_NETWORK = rectifier.RectifierNetwork(rectifier.NetworkSpec(sizes=(4, 3, 2)))
_SPEC = load_circuit("brunel2000_ai")
_POPULATIONS = resolve(_SPEC).populations
_FIELD = meanfield.MeanField([_CELL], [[1]], [[0.1]], [15.0], [1.0])
# arguments that a call needs besides the one that is tried, by name or by function and name
OTHERS: dict[str, Any] = {
    "times_ms": [1.0], "units": [0], "n_units": 3, "duration_ms": 100.0, "spikes": _TRAINS,
    "window_ms": 10.0, "windows_ms": [10.0], "fractions": [0.04], "lif": _CELL, "cell": _CELL,
    "currents_nA": [0.3], "rates_hz": [4.0], "current_nA": 0.3, "rate_hz": 4.0, "mean_mV": -60.0,
    "sigma_mV": 5.0, "budget": "attwell2001", "supply_ATP_per_s": 3.29e9, "mean_rate_hz": 4.0,
    "rate_while_active_hz": 50.0, "fraction": 0.04, "g": 5.0, "external": 2.0, "cells": [_CELL],
    "in_degrees": [[1]], "weights_mV": [[0.1]], "input_mean_mV": [15.0], "input_sigma_mV": [1.0],
    "network": _FIELD, "samples": [[1.0, 2.0]] * 8, "rates": [1.0, 2.0], "activations": [[1.0]],
    "images": np.zeros((2, 4)), "labels": [0, 1],
    "n_classes": 2, "shape": (4,), "seed": 1, "seconds": 0.01, "spec": load_circuit("brunel2000_ai"),
    "circuit": ns.measure(_TRAINS, active_when=ns.ActiveWhen(window_ms=10.0)),
    "active_when": ns.ActiveWhen(threshold=0), "key": "x", "label": "x", "source": "x",
    "caption": "x", "spike_ATP": 1.0, "resting_ATP_per_s": 1.0, "trust": {}, "low": 0.1,
    "high": 0.2, "path": "no.nir", "levels": 4, "name": "x", "n_samples": 1,
    "calibration": None, "recipe": "cortical_population", "kind": "simulate",
    "SparseNetwork.network": _NETWORK, "evaluate.network": _NETWORK, "rescaled.network": _NETWORK,
    "evaluate.images": _IMAGES, "quantise.model": torch.nn.Linear(2, 2), "rescaled.factors": [1.0, 1.0],
    "measure.what": _TRAINS, "measure.active_when": ns.ActiveWhen(window_ms=10.0),
    "with_missed.stats": ns.measure(_TRAINS, active_when=ns.ActiveWhen(window_ms=10.0)), "as_spikes.obj": _TRAINS, "as_spikes.dt_ms": 1.0, "simulate.what": "brunel2000_ai",
    "simulate_population.spec": load_population(),
    "Projection.rule": "pairwise", "Projection.pre": 0, "Projection.post": 0,
    "Projection.number": 0.5, "Projection.delay_ms": 1.0, "Population.size": 10,
    "Population.cell": _SPEC.cell, "Circuit.populations": _POPULATIONS, "Circuit.synapse": "delta",
    "Circuit.tau_syn_ms": None, "Circuit.projections": (),
    **{f"Activations.{name}": [1.0] for name in ("active_count", "magnitude_sum", "square_sum")},
    "Activations.runs": [[1], [0], [1]],
    **{f"read.{name}": _FILE for name in ("source", "path")}, "read_all.sources": [_FILE],
}  # fmt: skip


def others(thing: Any, name: str) -> Any:
    return OTHERS.get(f"{thing.__name__}.{name}", OTHERS.get(name, 1.0))


def public() -> dict[str, Any]:
    """Every public callable of the package's rooms, by its full name."""
    found: dict[str, Any] = {}
    rooms = [f"neurosparse.{m.name}" for m in pkgutil.iter_modules(ns.__path__) if m.name[0] != "_"]
    for room in ["neurosparse", *rooms]:
        module = importlib.import_module(room)
        names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
        for name in names:
            thing = getattr(module, name)
            home = getattr(thing, "__module__", "") or ""
            if callable(thing) and home.startswith("neurosparse") and home.count("_internal") == 0:
                found[f"{home}.{getattr(thing, '__qualname__', name)}"] = thing
    return found


def with_numbers() -> list[tuple[str, Any, str]]:
    """Public functions and input records, with each argument that holds numbers or has a unit."""
    cases = []
    for full, thing in public().items():
        is_result = is_dataclass(thing) and not hasattr(thing, "__post_init__")
        is_error = inspect.isclass(thing) and issubclass(thing, Exception | dict)  # or a result
        if is_result or is_error or MADE_HERE.search(full):
            continue
        for parameter in inspect.signature(thing).parameters.values():
            kind = str(parameter.annotation)
            has_unit = re.search(r"_(s|ms|hz|mV|nA|pA|MOhm|pF|nS)$|^seconds$", parameter.name)
            is_array = re.search(r"ArrayLike|NDArray|Floats", kind)
            is_number = CORE.match(full) and re.search(r"\bfloat\b", kind)
            if "Mapping" not in kind and (has_unit or is_array or is_number):
                cases.append((full, thing, parameter.name))
    return cases


CASES = with_numbers()


def test_the_walk_finds_the_doors() -> None:
    found = {(full.rpartition(".")[2], argument) for full, _, argument in CASES}
    assert {
        ("SpikeTrains", "times_ms"), ("ActiveWhen", "window_ms"), ("rate", "current_nA"),
        ("siegert_rate", "mean_mV"), ("treves_rolls", "rates"), ("ATP_per_s", "rates_hz"),
        ("MeanField", "weights_mV"), ("fi_curve", "currents_nA"), ("read", "duration_s"),
        ("run_circuit", "seconds"), ("LIF", "tau_m_ms"), ("raster", "duration_ms"),
    } <= found  # fmt: skip
    assert len(CASES) > 100


@any_library
@pytest.mark.parametrize(
    ("full", "thing", "argument"), CASES, ids=[f"{full[12:]}-{name}" for full, _, name in CASES]
)
def test_no_wrong_dimension_passes_silently(
    library: str, full: str, thing: Any, argument: str
) -> None:
    # a temperature is no argument of anything here
    wrong = {
        "brian2": lambda x: np.asarray(x, float) * brian2.kelvin,
        "quantities": lambda x: pq.Quantity(np.asarray(x, float), "K"),
        "pint": lambda x: REGISTRY.Quantity(np.asarray(x, float), "K"),
        "astropy": lambda x: au.Quantity(np.asarray(x, float), "K"),
    }[library]
    right = others(thing, argument)
    value = wrong(right if isinstance(right, int | float | list | np.ndarray) else 1.0)
    needed = {
        name: others(thing, name)
        for name, parameter in inspect.signature(thing).parameters.items()
        if (parameter.default is parameter.empty and "VAR" not in parameter.kind.name)
        or f"{thing.__name__}.{name}" in OTHERS
    }
    with pytest.raises((TypeError, ValueError)) as caught:
        thing(**{**needed, argument: value})
    said = str(caught.value)
    assert re.search("or in a unit that|without a unit, got|must be a whole number", said), said


@pytest.mark.parametrize(
    "of_seconds",
    [
        lambda s: (np.asarray(s) * 1e9).astype("m8[ns]"),
        lambda s: (np.asarray(s) * 1e6).astype("m8[us]"),
        lambda s: pd.to_timedelta(s, unit="s"),
        lambda s: pd.Series(pd.to_timedelta(s, unit="s")),
        lambda s: [datetime.timedelta(seconds=x) for x in s],
        lambda s: [np.timedelta64(round(x * 1e3), "ms") for x in s],
    ],
)
def test_differences_of_times_keep_their_unit(of_seconds: Callable[[Any], Any]) -> None:
    times_s = [0.25, 1.5]
    np.testing.assert_allclose(np.array(plain("times_ms", of_seconds(times_s)), float), [250, 1500])
    for duration in (np.timedelta64(2, "s"), datetime.timedelta(seconds=2), pd.Timedelta(2, "s")):
        spikes = ns.SpikeTrains(of_seconds(times_s), [0, 1], n_units=2, duration_ms=duration)
        assert spikes.duration_ms == 2000
        np.testing.assert_allclose(spikes.times_ms, [250, 1500])
    for wrong in (np.array(["2026-01-01"], "M8[s]"), datetime.datetime(2026, 1, 1)):
        with pytest.raises(TypeError, match="in ms, or in a unit that converts to it"):
            plain("times_ms", wrong)
    with pytest.raises(TypeError, match="without a unit"):
        plain("units", of_seconds(times_s))
