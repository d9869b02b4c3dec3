"""Spike files: what is written comes back; what is damaged is refused in one sentence."""

import numpy as np
import pytest

from neurosparse import SpikeTrains
from neurosparse.recordings import load_spikes, save_spikes


@pytest.fixture
def spikes():
    return SpikeTrains(
        [0.1, 0.3, 7.0], [2, 0, 1], n_units=4, duration_ms=8.0, dt_ms=0.1, populations={"E": (0, 3), "I": (3, 4)}
    )


def test_what_is_written_comes_back(spikes, tmp_path):
    back = load_spikes(save_spikes(spikes, tmp_path / "deep" / "a.npz"))
    np.testing.assert_array_equal(back.times_ms, spikes.times_ms)
    np.testing.assert_array_equal(back.units, spikes.units)
    assert (back.n_units, back.duration_ms, back.dt_ms) == (4, 8.0, 0.1)
    assert back.populations == {"E": (0, 3), "I": (3, 4)}


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, -1])
def test_a_truncated_file_is_refused(spikes, tmp_path, keep):
    path = save_spikes(spikes, tmp_path / "a.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))] if isinstance(keep, float) else whole[:keep])
    with pytest.raises(ValueError, match="cannot read spikes from"):
        load_spikes(path)


def test_pickled_arrays_are_not_opened(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path, header=np.array({"format": "neurosparse spikes 1"}, dtype=object), times_ms=np.zeros(1), units=np.zeros(1)
    )
    with pytest.raises(ValueError, match="pickle"):
        load_spikes(path)


def test_foreign_missing_and_misnamed_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", something=np.zeros(3))
    with pytest.raises(ValueError, match="header"):
        load_spikes(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="no spike file"):
        load_spikes(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"\.npz"):
        load_spikes(tmp_path / "b.pkl")


def test_damaged_content_is_refused(spikes, tmp_path):
    path = save_spikes(spikes, tmp_path / "a.npz")
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **{**content, "times_ms": np.array([0.1, np.nan, 7.0])})
    with pytest.raises(ValueError, match="must be finite, got nan"):
        load_spikes(path)
