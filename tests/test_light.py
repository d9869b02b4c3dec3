"""The light install: what runs without PyTorch, Brian2, numba and pyarrow, and what else says."""

import csv
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import neurosparse as ns
from neurosparse._internal import imports
from neurosparse.comparison import load, unit_tables
from neurosparse.convert import from_nir
from neurosparse.probe.history import History
from neurosparse.sweep.dask import _connect

ROOT = Path(__file__).parent.parent
SPIKES = ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=10.0, dt_ms=1.0)
NEVER_SILENT = ns.measure(SPIKES, active_when=ns.ActiveWhen(window_ms=10.0))


def test_the_core_runs_where_the_heavy_packages_are_hidden() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "light.py", "--hide"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6


def test_its_packages_are_those_of_the_default_install_less_the_heavy_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        line.strip()
        for line in (ROOT / "requirements-light.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    }
    # NumPy's upper limit on Python 3.11 is Brian2's
    whole = {line.partition(";")[0].partition(",<")[0] for line in project["dependencies"]}
    assert wanted <= whole
    assert {line.split(">")[0] for line in whole - wanted} == {
        "brian2",
        "numba",
        "pyarrow",
        "torch",
    }


@pytest.mark.parametrize("names", [["one"], ['a, "b"\nc', "b"]])
def test_units_are_the_same_from_either_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    rng = np.random.default_rng(3)
    when = ns.ActiveWhen(window_ms=10.0)
    stats = [
        ns.measure(
            ns.SpikeTrains(
                np.sort(rng.random(300)) * 700.0,
                rng.integers(0, 7, 300),
                n_units=9,
                duration_ms=700.0,
                dt_ms=None,
            ),
            active_when=when,
            name=name,
        )
        for name in names
    ]
    parquet = unit_tables.read(unit_tables.write(stats, tmp_path))
    monkeypatch.setattr(unit_tables, "_has_pyarrow", lambda: False)
    path = unit_tables.write(stats, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["activity.csv"] == [path.name]
    text = unit_tables.read(path)
    assert set(parquet) == set(text) == set(names)
    for name in names:
        for column in unit_tables.COLUMNS.values():
            np.testing.assert_array_equal(parquet[name][column], text[name][column])


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[1:],
        lambda rows: [[*row[:4], "x", *row[5:]] for row in rows],
        lambda rows: [rows[0], *([*row[:4], "x", *row[5:]] for row in rows[1:])],
        lambda rows: [rows[0], *(row[:3] for row in rows[1:])],
        lambda rows: [rows[0]],
    ],
    ids=["no head", "another head", "no number", "cut off", "empty"],
)
def test_a_damaged_table_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: object
) -> None:
    spikes = ns.SpikeTrains([1.0, 6.0], [0, 1], n_units=4, duration_ms=10.0, dt_ms=1.0)
    stats = ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=5.0), name="some")
    monkeypatch.setattr(unit_tables, "_has_pyarrow", lambda: False)
    ns.compare(stats, reference="brain").save(tmp_path)
    path = tmp_path / unit_tables.CSV
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert load(tmp_path).stats[0].n_units == 4
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(damage(rows))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"cannot read the comparison in ") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_installed_and_fails_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_package_as_this")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_as_this") as error:
        imports.need("broken_package", "reading")
    assert not isinstance(error.value, imports.MissingPackageError)
    with pytest.raises(
        imports.MissingPackageError,
        match=r"^reading X needs no_such, which is not installed: pip install 'neurosparse\[x\]'$",
    ):
        imports.need("no_such.part", "reading X", extra="x")


@pytest.mark.parametrize(
    ("package", "extra", "what"),
    [
        ("pandas", "interop", lambda path: History().to_pandas()),
        ("pandas", "interop", lambda path: NEVER_SILENT.to_pandas()),
        ("pandas", "interop", lambda path: ns.compare(NEVER_SILENT).to_pandas()),
        ("nir", "nir", from_nir),
        ("distributed", "distributed", lambda path: _connect("tcp://127.0.0.1:1")),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, extra: str, what: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(imports.MissingPackageError, match=rf"'neurosparse\[{extra}\]'$"):
        what(tmp_path / "a.nir")
