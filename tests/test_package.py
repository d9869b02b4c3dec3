"""The house: light imports, the public names, what the wheel holds."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module, metadata
from pathlib import Path

import pytest

import neurosparse

ROOT = Path(__file__).parent.parent
PUBLIC = """
import neurosparse as ns
from neurosparse.lif import rate, current, soft_rate
from neurosparse.rectifier import RectifierNetwork, train
ns.LIF(tau_m_ms=20.0, resistance_MOhm=100.0, e_leak_mV=-70.0, v_threshold_mV=-50.0, v_reset_mV=-70.0, t_ref_ms=2.0)
ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=2.0, dt_ms=None)
ns.ActiveWhen(window_ms=10.0), ns.ActiveWhen(threshold=0)
ns.measure, ns.compare, ns.Comparison, ns.ActivityStats, ns.Activations
"""


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_public_names():
    done = run_python(PUBLIC)
    assert done.returncode == 0, done.stderr
    for name in neurosparse.__all__:
        assert getattr(neurosparse, name) is not None
    assert set(neurosparse.__all__) <= set(dir(neurosparse))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = neurosparse.nothing


STUBS = sorted((ROOT / "neurosparse").rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda p: p.parent.name)
def test_each_lazy_name_stands_once_in_a_stub_and_loads(stub):
    package = import_module(".".join(stub.parent.relative_to(ROOT).parts))
    names = [line.split()[3] for line in stub.read_text().splitlines() if line.startswith("from ")]
    assert names
    assert sorted(names) == sorted(set(package.__all__) - {"__version__"})
    for name in names:
        assert getattr(package, name) is not None
        assert name in dir(package)
        if name != package.__name__.rpartition(".")[2]:  # a package that is a function as well
            assert name not in stub.with_suffix(".py").read_text().split("lazy(")[1]


def test_a_stub_may_name_any_module_and_only_its_names_load(tmp_path):
    (tmp_path / "door.py").write_text(
        "from neurosparse._internal import imports\n"
        "__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)\n"
    )
    (tmp_path / "door.pyi").write_text(
        "from plistlib import dumps as dumps\nfrom os.path import join as join\nfrom re import sub\n"
    )
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import door
assert door.__all__ == ["dumps", "join"] and "plistlib" not in sys.modules
assert b"<integer>1</integer>" in door.dumps([1]) and "plistlib" in sys.modules
from door import *
assert join("a", "b")
try:
    door.sub
except AttributeError as error:
    assert str(error) == "module 'door' has no attribute 'sub'"
else:
    raise AssertionError
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "statement", ["import neurosparse", "import neurosparse.cli", "import neurosparse.rectifier"]
)
def test_imports_are_light(statement):
    heavy = ["torch", "brian2", "matplotlib", "scipy", "numba", "pyarrow", "pandas", "sklearn"]
    done = run_python(f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_compare_and_measure_stay_functions_whatever_is_imported_first():
    done = run_python(
        "import neurosparse.comparison, neurosparse.measurement, neurosparse as ns; "
        "assert callable(ns.compare) and callable(ns.measure)"
    )
    assert done.returncode == 0, done.stderr


def test_the_wheel_has_one_top_level_name_and_the_recipes(tmp_path):
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"neurosparse"}
    assert "neurosparse/py.typed" in names
    assert {str(stub.relative_to(ROOT)) for stub in STUBS} <= set(names)
    scripts = (ROOT / "neurosparse/report/script").glob("*.js")
    assert {f"neurosparse/report/page.{suffix}" for suffix in ("html.j2", "css")} <= set(names)
    assert {f"neurosparse/report/script/{script.name}" for script in scripts} <= set(names)
    shared = {
        name.removeprefix("neurosparse/_share/")
        for name in names
        if name.startswith("neurosparse/_share/")
    }
    ours = {
        str(p.relative_to(ROOT))
        for folder in ("models", "simulations")
        for p in (ROOT / folder).rglob("*.*")
    }
    assert shared == {name for name in ours if "__pycache__" not in name}


@pytest.mark.parametrize(
    "script", sorted((ROOT / "simulations").glob("*.py")), ids=lambda p: p.name
)
def test_scripts_are_short_and_say_what_to_expect(script):
    text = script.read_text()
    assert len(text.splitlines()) <= 55
    assert script.name[:2].isdigit()
    for word in ("Source: ", "Expected", "Run time: ", "share.parser(__doc__)"):
        assert word in " ".join(text.split()) + " "


def test_no_script_hides_a_package():
    """A script's folder comes first in its path: numba would import a coverage.py that lies there."""
    installed = {*metadata.packages_distributions(), *sys.stdlib_module_names}
    scripts = [
        path for room in ("benchmarks", "simulations") for path in (ROOT / room).glob("*.py")
    ]
    assert len(scripts) > 30
    assert [path.name for path in scripts if path.stem in installed] == []


def test_the_version_stands_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert json.loads((ROOT / ".zenodo.json").read_text())["version"] == version
    assert f'version: "{version}"' in (ROOT / "conda" / "recipe.yaml").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_oldest_versions_are_the_lower_bounds():
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = {re.match(r"([a-z0-9]+)>=([0-9.]+)", bound).groups() for bound in bounds}
    pins = dict(line.split("==") for line in (ROOT / "constraints-oldest.txt").read_text().split())
    assert dict(lowest).keys() == pins.keys()
    for name, bound in lowest:
        assert pins[name] == bound or pins[name].removesuffix(".0") in (bound, f"{bound}.0"), name


@pytest.mark.parametrize("workflow", ["tests", "release"])
def test_workflows_call_targets_that_exist(workflow):
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z-]+)|target: ([a-z-]+)", text))
    assert targets
    for target in {a or b for a, b in targets}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
