"""The fingerprint of a run's code: all that the run imports, and nothing that it does not."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurosparse
from neurosparse import recipes
from neurosparse.sweep import closure, code, kinds, runs

HOME = Path(neurosparse.__file__).parent
RUNS = {
    "train": ("rectifier", {}),
    "simulate": ("brunel2000_ai", {}),
    "convert": ("rectifier", {"steps": 4}),
}


CACHES = (closure.source, closure.path_of, closure._root, code.fingerprint)


def cleared() -> None:
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cleared()
    yield
    cleared()


def roots(kind: str) -> tuple[str, ...]:
    name, settings = RUNS[kind]
    spec = kinds.registry.get(kind).resolve(recipes.load(name), settings, 1)
    return (kinds.registry.home(kind), runs.__name__, *kinds.registry.get(kind).modules(spec))


def modules(kind: str) -> tuple[str, ...]:
    return closure.closure(roots(kind), code.WITHOUT_EFFECT)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which the fingerprint reads in place of the package."""
    copy = tmp_path / "neurosparse"
    shutil.copytree(HOME, copy, ignore=shutil.ignore_patterns("__pycache__", "vendored", "_share"))
    root = closure._root
    monkeypatch.setattr(
        closure,
        "_root",
        lambda top: copy / "__init__.py" if top == "neurosparse" else root.__wrapped__(top),
    )
    return copy


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", RUNS)
def test_each_module_that_a_run_imports_decides_its_fingerprint(
    kind: str, every: int, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, found = roots(kind), modules(kind)
    read, changed = closure.source, ""

    def read_again(module: str) -> closure.Source:
        return read.__wrapped__(module) if module == changed else read(module)

    monkeypatch.setattr(closure, "source", read_again)
    monkeypatch.setattr(code, "source", read_again)
    first = code.fingerprint(*names)
    for module in found[::every]:
        path = closure.path_of(module)
        assert path is not None
        assert path.is_relative_to(copied)
        text = path.read_text()
        path.write_text(f"{text}\n_OTHER = 1\n")
        changed = module  # the sources of all others are as they were
        code.fingerprint.cache_clear()
        assert code.fingerprint(*names) != first, module
        path.write_text(text)
    cleared()
    assert code.fingerprint(*names) == first


def test_a_constant_of_the_comparison_decides_the_rows_of_a_simulation(copied: Path) -> None:
    before = {kind: code.fingerprint(*roots(kind)) for kind in RUNS}
    path = copied / "comparison" / "comparison.py"
    text = path.read_text()
    assert "BRAIN_FRACTIONS = (0.01, 0.02, 0.04)" in text
    path.write_text(text.replace("(0.01, 0.02, 0.04)", "(0.01, 0.02, 0.05)"))
    cleared()
    after = {kind: code.fingerprint(*roots(kind)) for kind in RUNS}
    assert {kind for kind in RUNS if before[kind] != after[kind]} == {"simulate"}


def test_figures_of_the_literature_count_where_their_module_does(copied: Path) -> None:
    before = code.fingerprint(*roots("simulate"))
    path = copied / "reference" / "brain.toml"
    path.write_text(path.read_text() + "\n# another figure\n")
    cleared()
    assert code.fingerprint(*roots("simulate")) != before


def test_other_modules_do_not_decide(copied: Path) -> None:
    before = {kind: code.fingerprint(*roots(kind)) for kind in RUNS}
    for room in ("cli/training.py", "plots/fractions.py", "claims/lab.py", "report/page.py"):
        path = copied / room
        path.write_text(path.read_text() + "\n_OTHER = 1\n")
    (copied / "data" / "sets" / "cifar10.py").write_text("_OTHER = 1\n")  # nobody asked for it
    (copied / "spiking" / "engines" / "nest.py").write_text("_OTHER = 1\n")
    cleared()
    assert {kind: code.fingerprint(*roots(kind)) for kind in RUNS} == before


@pytest.mark.slow
def test_what_a_run_imports_is_in_the_closure() -> None:
    """Held against the modules that a process has in fact imported when it has done a run."""
    program = """
import sys
from neurosparse import recipes
from neurosparse.activity import ActiveWhen
from neurosparse.sweep.kinds import simulate
spec = simulate.resolve(recipes.load("brunel2000_ai"), {"scale": 0.02, "seconds": 0.05}, 1)
import warnings; warnings.simplefilter("ignore")
class Lock:
    from pathlib import Path
    folder = Path(sys.argv[1])
simulate.run(spec, Lock, "cpu", lambda done, text: None)
print(*(name for name in sys.modules if name.startswith("neurosparse.")))
"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", program, folder],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert "neurosparse.spiking.engines.kernel" in imported
    rest = imported - set(modules("simulate")) - set(code.WITHOUT_EFFECT)
    assert {name for name in rest if not name.startswith(code.WITHOUT_EFFECT)} == set()


def test_what_cannot_matter_is_short_and_there() -> None:
    assert len(code.WITHOUT_EFFECT) <= 12
    for module in code.WITHOUT_EFFECT:
        assert closure.path_of(module) is not None, module
        for name in ("activity", "sparsity", "rectifier", "spiking", "kernels", "convert", "lif"):
            assert not module.startswith(f"neurosparse.{name}")


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    cleared()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one's own that can be imported."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    (folder / "__init__.py").touch()
    importlib.invalidate_caches()
    return folder


def test_layout_comments_and_docstrings_do_not_count(package: Path) -> None:
    write(package, module='def f(x):\n    """Twice."""\n    return 2 * x\n')
    first = code.fingerprint("own.module")
    write(package, module="def f(x):\n\n    return 2*x  # twice\n")
    assert code.fingerprint("own.module") == first
    write(package, module="def f(x):\n    return 3 * x\n")
    assert code.fingerprint("own.module") != first
    with pytest.raises(ModuleNotFoundError, match=r"own\.none"):
        code.fingerprint("own.none")


FORMS = {
    "import own.b": {"own.b"},
    "import own.b as x": {"own.b"},
    "from own import b": {"own.b"},
    "from own.b import value": {"own.b"},
    "from . import b": {"own.b"},
    "from .b import value": {"own.b"},
    "def f():\n    from own import b\n    return b": {"own.b"},
    "try:\n    import own.b\nexcept ImportError:\n    import own.c": {"own.b", "own.c"},
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import own.b": set(),
    "from neurosparse.lif import rate": {"neurosparse.lif", "neurosparse.lif.rates"},
    "import neurosparse as ns\nns.LIF": {"neurosparse.lif", "neurosparse.lif.rates"},
    "import neurosparse as ns\nns.ActiveWhen": {"neurosparse.activity.active_when"},
    "from neurosparse import rectifier\nrectifier.folded": {"neurosparse.rectifier.network"},
    "from neurosparse import rectifier\nprint(rectifier)": {"neurosparse.rectifier.training"},
    "import numpy, os": set(),
    "name = 'own.b'": set(),
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_of_an_import_is_followed(text: str, package: Path) -> None:
    write(package, a=text + "\n", b="value = 1\n", c="value = 2\n")
    found = set(closure.closure(["own.a"]))
    assert FORMS[text] <= found
    if not FORMS[text]:
        assert found == {"own", "own.a"}
    if "folded" in text or "LIF" in text:
        assert "neurosparse.rectifier.training" not in found


def test_versions_of_other_packages_count(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(package, a="import numpy\n")
    assert closure.source("own.a").packages == ("numpy",)
    first = code.fingerprint("own.a")
    monkeypatch.setattr(code, "_version", lambda package: "0")
    code.fingerprint.cache_clear()
    assert code.fingerprint("own.a") != first
