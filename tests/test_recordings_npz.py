"""The package's own spike files: what is written comes back; what is damaged or hostile is refused
in one sentence.
"""

import io
import json
import zipfile

import numpy as np
import pytest

from neurosparse import SpikeTrains
from neurosparse.recordings import load_spikes, read, save_spikes


@pytest.fixture
def spikes():
    return SpikeTrains(
        [0.1, 0.3, 7.0],
        [2, 0, 1],
        n_units=4,
        duration_ms=8.0,
        dt_ms=0.1,
        populations={"E": (0, 3), "I": (3, 4)},
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
        path,
        header=np.array({"format": "neurosparse spikes 1"}, dtype=object),
        times_ms=np.zeros(1),
        units=np.zeros(1),
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


HEADER = json.dumps(
    {
        "format": "neurosparse spikes 1",
        "n_units": 4,
        "duration_ms": 8.0,
        "dt_ms": 0.1,
        "populations": {},
    }
)


def archive(path, **members):
    """A .npz of raw members, so that a header can promise what is not there."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def npy_header(shape, descr="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"shape": shape, "fortran_order": False, "descr": descr}
    )
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(10**13,), (10**9, 10**9, 10**9), (3,)])
def test_a_header_that_promises_more_than_is_there_is_refused_before_memory_is_asked_for(
    tmp_path, shape
):
    path = archive(
        tmp_path / "a.npz",
        header=npy(np.array(HEADER)),
        times_ms=npy_header(shape) + bytes(16),
        units=npy(np.zeros(1, dtype=np.int64)),
    )
    with pytest.raises(ValueError, match=r"times_ms\.npy promises [\d,]+ bytes and holds 16"):
        load_spikes(path)


def test_an_archive_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch, spikes):
    path = save_spikes(spikes, tmp_path / "a.npz")
    monkeypatch.setattr("neurosparse._internal.foreign_npz.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="would unpack to"):
        load_spikes(path)


def test_object_arrays_and_unknown_versions_are_refused(tmp_path):
    path = archive(
        tmp_path / "a.npz",
        header=npy_header((), "|O"),
        times_ms=npy(np.zeros(1)),
        units=npy(np.zeros(1)),
    )
    with pytest.raises(ValueError, match="pickle is never opened"):
        load_spikes(path)
    path = archive(tmp_path / "b.npz", header=b"\x93NUMPY\x09\x00" + bytes(100))
    with pytest.raises(ValueError, match="version"):
        load_spikes(path)


@pytest.mark.parametrize(
    "header", ["[]", "[" * 100_000, "{}", "null", '{"format": 1}', HEADER.replace("4", '"4"')]
)
def test_a_header_of_another_shape_is_refused(tmp_path, header):
    path = archive(
        tmp_path / "a.npz",
        header=npy(np.array(header)),
        times_ms=npy(np.zeros(1)),
        units=npy(np.zeros(1, dtype=np.int64)),
    )
    with pytest.raises(ValueError, match="cannot read spikes from"):
        load_spikes(path)


def test_a_part_of_it_is_read(spikes, tmp_path):
    recording = read(save_spikes(spikes, tmp_path / "a.npz"), start_s=0.0002, duration_s=0.007)
    assert recording.spikes == spikes.between(0.2, 7.2)
    assert (recording.start_s, recording.n_outside, recording.note) == (0.0002, 1, "")
    with pytest.raises(ValueError, match="no columns"):
        read(tmp_path / "a.npz", where=["quality=good"])
    with pytest.raises(ValueError, match="enclose a part"):
        read(tmp_path / "a.npz", duration_s=1.0)
