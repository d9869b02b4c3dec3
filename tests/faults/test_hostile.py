"""Files that promise more than they hold: refused before memory is asked for, in processes that
have little of it.
"""

import json
import struct
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

LOAD = """
import resource, sys
from pathlib import Path
import neurosparse.data, neurosparse.recordings, neurosparse.rectifier.checkpoints, neurosparse.sweep
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30,) * 2)
what, path = sys.argv[1:]
load = {
    "weights": neurosparse.rectifier.load,
    "checkpoint": neurosparse.rectifier.checkpoints.load_checkpoint,
    "spikes": neurosparse.recordings.read,
    "images": neurosparse.data.load,
    "sweep": neurosparse.sweep.load,
}[what]
try:
    load(path)
except ValueError as error:
    print(error)
"""

HUGE = {"sizes": [784, 60_000, 60_000, 10]}  # 14 GB


def huge_weights(path):
    metadata = {"format": "neurosparse.rectifier/1", "network": json.dumps(HUGE)}
    save_file({"linear1.weight": torch.zeros(1)}, path, metadata=metadata)


def huge_checkpoint(path):
    numbers = {
        "inputs": "",
        "history": [],
        "best_epoch": 0,
        "seconds": 0.0,
        "l1": [],
        "n_averaged": 0,
    }
    metadata = {
        "format": "neurosparse.training/1",
        "training": json.dumps({"network": HUGE}),
        "numbers": json.dumps(numbers),
    }
    save_file({"generator": torch.Generator().get_state()}, path, metadata=metadata)


def huge_header(path):
    """A safetensors header of 2**60 bytes."""
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


def huge_tensor(path):
    """A tensor whose bytes are not there."""
    header = json.dumps(
        {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def huge_array(path):
    """An archive with an array of 2**40 numbers, which holds two."""
    np.savez(
        path, times_ms=np.zeros(2), units=np.zeros(2, int), x=np.zeros((2, 4)), y=np.zeros(2, int)
    )
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"'shape': (2,), }" + b" " * 20, b"'shape': (1099511627776,), }" + b" " * 8)
    )


def huge_dataset(path):
    """A recording with spike times of 2**40 numbers, of which none is stored."""
    recording_of(path, "spike_times", shape=(2**40,), chunks=(2**20,), dtype="f8")


def other_file(path):
    """A recording whose spike times are the bytes of another file."""
    recording_of(path, "spike_times", shape=(2,), dtype="f8", external=[("/etc/passwd", 0, 16)])


def recording_of(path, name, **dataset):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        file["units/id"], file["units/spike_times_index"] = [0], [2]
        file["units"].create_dataset(name, **dataset)


def deep_table(path):
    path.write_text('kind = "train"\na = ' + "[" * 50_000)


def wide_grid(path):
    axes = "\n".join(f"a{k} = {{ low = 0, high = 1, n = 1000000 }}" for k in range(9))
    path.write_text(f'kind = "train"\nrecipe = "rectifier"\n[grid]\n{axes}\n')


@pytest.mark.parametrize(
    ("what", "make", "name", "message"),
    [
        ("weights", huge_weights, "x.safetensors", "does not hold the weights of the network"),
        ("weights", huge_header, "x.safetensors", "truncated or not a safetensors file"),
        ("weights", huge_tensor, "x.safetensors", "truncated or not a safetensors file"),
        (
            "checkpoint",
            huge_checkpoint,
            "x.safetensors",
            "does not hold the weights of the network",
        ),
        ("checkpoint", huge_header, "x.safetensors", "truncated or not a safetensors file"),
        ("spikes", huge_array, "x.npz", "promises"),
        ("spikes", huge_dataset, "x.nwb", "promises"),
        ("spikes", other_file, "x.nwb", "is kept in other files, which are not read"),
        ("images", huge_array, "x.npz", "promises"),
        ("sweep", deep_table, "x.toml", "nested too deeply"),
        ("sweep", wide_grid, "x.toml", "at most 1,000,000 runs"),
    ],
)
def test_what_promises_too_much_is_refused(tmp_path, what, make, name, message):
    make(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, what, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert message in done.stdout
