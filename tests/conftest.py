"""What the tests of the core share: trains of spikes, drawn and generated."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests run side by side: threads of one would but wait for a core. Before NumPy and torch look.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Prints are of one width, whatever terminal the tests run in.
os.environ["COLUMNS"] = "80"

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from scipy.signal import lfilter

from neurosparse._internal import limited_process
from neurosparse._internal.threads import cores
from neurosparse.activity import SpikeTrains
from neurosparse.data import places

# Examples are the same in every run; a slow, busy machine is no failure.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")

# Whoever starts the tests in the background may have them ignore these, and so would all that they
# start: the tests of signals want them heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that they started."""
    return cores() + 1


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    """Close what a test has drawn: a process runs many tests, and may hold 20 open figures."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture
def poisson() -> Callable[..., SpikeTrains]:
    """Poisson spikes at a rate that all units share; `modulation` > 0 lets it wander, correlated
    over `tau_ms`.
    """

    def draw(
        seed: int,
        *,
        n_units: int,
        duration_ms: int,
        rate_hz: float,
        modulation: float = 0.0,
        tau_ms: float = 20.0,
    ) -> SpikeTrains:
        rng = np.random.default_rng(seed)
        keep = np.exp(-1.0 / tau_ms)
        noise = rng.standard_normal(duration_ms) * np.sqrt(1 - keep**2)
        noise[0] /= np.sqrt(1 - keep**2)  # x starts where it stays: at variance 1
        x = lfilter([1.0], [1.0, -keep], noise)
        # mean rate_hz for any modulation
        rate = rate_hz * np.exp(modulation * x - modulation**2 / 2)
        fires = rng.random((duration_ms, n_units), dtype=np.float32) < 1 - np.exp(
            -rate[:, None] * 1e-3
        )
        ticks, units = np.nonzero(fires)
        return SpikeTrains(
            ticks * 1.0, units, n_units=n_units, duration_ms=float(duration_ms), dt_ms=1.0
        )

    return draw


@pytest.fixture
def no_image_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look for image sets where a test has put them, and nowhere else on this machine."""
    monkeypatch.setattr(places, "system_folders", lambda name: [])
    monkeypatch.setattr(
        places, "own_folder", lambda name, data_dir=None: (data_dir or tmp_path / "own") / name
    )


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process for each file that is read; see test_recordings_hdf5."""

    def read_here(path, reader, *, options=None, **how):
        return limited_process.read_here(path, reader, options or {})

    monkeypatch.setattr(limited_process, "read", read_here)
