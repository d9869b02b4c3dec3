"""The process that reads HDF5: its answer is the reader's, and whatever becomes of it is one
sentence; files that lie.
"""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import h5py
import hdf5_readers
import nir
import numpy as np
import pytest

from neurosparse import recordings
from neurosparse._internal import foreign_hdf5 as hdf5
from neurosparse._internal import limited_process


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w"):
        return tmp_path / "x.h5"


@pytest.fixture(autouse=True)
def as_most_environments_are(monkeypatch):
    """A standard output without buffer hides what a buffered one cannot do."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def test_the_arrays_are_those_of_the_reader(path):
    found, wanted = hdf5.read(path, hdf5_readers.all_kinds), hdf5_readers.all_kinds(None)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].flags.writeable) == (array.dtype, True)


@pytest.mark.parametrize(
    ("reader", "error", "said"),
    [
        (hdf5_readers.refuses, ValueError, "it is not liked"),
        (
            hdf5_readers.breaks_down,
            ValueError,
            r"HDF5's library broke down on it \(SIGSEGV\): it is damaged or made",
        ),
        (
            hdf5_readers.takes_memory,
            ValueError,
            r"reading its 800 bytes takes more than 512 MB of memory: it is damaged",
        ),
        (hdf5_readers.computes, ValueError, "takes more than 1 s of CPU time"),
        (
            hdf5_readers.is_wrong,
            RuntimeError,
            "the process that reads .* failed: (?s:.)*Object arrays cannot be saved",
        ),
    ],
)
def test_what_becomes_of_it_is_said(monkeypatch, path, reader, error, said):
    monkeypatch.setattr(limited_process, "_LEAST_CPU_S", 1)
    with pytest.raises(error, match=said):
        hdf5.read(path, reader)


def test_one_that_waits_is_ended_by_the_clock(monkeypatch, path):
    monkeypatch.setattr(limited_process, "_PATIENCE", 0.2)
    with pytest.raises(ValueError, match=r"takes more than 1\.0 s: it is damaged"):
        hdf5.read(path, hdf5_readers.sleeps)


def test_no_code_of_the_folder_is_run(monkeypatch, path):
    (path.parent / "numpy.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(path.parent)
    assert hdf5.read(path, hdf5_readers.all_kinds)


def test_limits_grow_with_the_file(monkeypatch, path):
    asked = []
    monkeypatch.setattr(
        limited_process, "_process", lambda what, timeout_s: asked.append((*what[2:], timeout_s))
    )
    for n_bytes in (2**20, 10**9, 10**13):
        os.truncate(path, n_bytes)
        with pytest.raises(AttributeError):
            hdf5.read(path, hdf5_readers.sleeps)
    assert asked == [
        (str(576 * 2**20), "5", 100),
        (str(32 * 2**30), "55", 1100),
        (str(32 * 2**30), "863", 17260),
    ]


# ---- Files that lie
# --------------------------------------------------------------------------------------------------


def nwb(path):
    """As small as the layout allows; pynwb would add a megabyte of schemas."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        file["units/id"], file["units/spike_times_index"], file["units/spike_times"] = (
            [0],
            [2],
            [0.5, 0.7],
        )


def network(path):
    neuron = nir.LIF(np.full(3, 0.01), np.ones(3), np.zeros(3), np.ones(3))
    nir.write(path, nir.NIRGraph.from_list(nir.Affine(np.ones((3, 3)), np.zeros(3)), neuron))


def read_nwb(path):
    return recordings.read(path, duration_s=1.0)


def read_network(path):
    from neurosparse.convert import from_nir

    return from_nir(path)


def long_text(content):
    """The first text claims to be of 2 GB."""
    # where it is stored, behind its length
    at = content.index(struct.pack("<QI", content.index(b"GCOL"), 1))
    return content[: at - 4] + struct.pack("<I", 2**31 - 1) + content[at:]


def endless_texts(content):
    """The heap of texts holds one of no size, where the next is looked for behind it, which is
    there.
    """
    at = content.index(b"GCOL") + 16
    return content[:at] + bytes(16) + content[at + 16 :]


FORMATS = {"nwb": (nwb, read_nwb), "nir": (network, read_network)}
LIES = {"memory": (long_text, "MB of memory"), "time": (endless_texts, "1 s of CPU time")}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", FORMATS)
def test_files_that_lie_are_refused_within_the_limits(monkeypatch, tmp_path, kind, lie):
    monkeypatch.setattr(limited_process, "_LEAST_CPU_S", 1)
    path = tmp_path / f"x.{kind}"
    (write, read), (alter, said) = FORMATS[kind], LIES[lie]
    write(path)
    read(path)
    path.write_bytes(alter(path.read_bytes()))
    with pytest.raises(
        ValueError,
        match=rf"^cannot read .* from {path}: reading its .* bytes takes more than .*{said}",
    ):
        read(path)


def test_ctrl_c_is_heard_and_leaves_no_process(tmp_path):
    path = tmp_path / "x.nwb"
    nwb(path)
    path.write_bytes(endless_texts(path.read_bytes()))
    code = (
        "from neurosparse import recordings; print('ready', flush=True);"
        f" recordings.read({str(path)!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (child := children.read_text().strip()):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)  # to it alone
        assert process.wait(60) == -signal.SIGINT
    end = time.monotonic() + 10  # it was killed; whoever inherits it takes it away
    while (there := Path("/proc", child).exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not there


@pytest.mark.slow
def test_twenty_million_spikes_of_a_hundred_thousand_units(tmp_path):
    path, n_units, n = tmp_path / "big.nwb", 100_000, 200
    times = np.tile(np.arange(n) * 0.1, n_units)
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        units = file.create_group("units")
        units["id"], units["spike_times_index"] = np.arange(n_units), np.arange(1, n_units + 1) * n
        units.create_dataset(
            "spike_times", data=times, chunks=True, compression="gzip", compression_opts=1
        )
        units.create_dataset(
            "quality", data=["good", "noise"] * (n_units // 2), dtype=h5py.string_dtype()
        )
    spikes = recordings.read(path, duration_s=20.0).spikes
    assert (spikes.n_units, len(spikes)) == (n_units, times.size)
