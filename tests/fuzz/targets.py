"""What is fuzzed: each reader of files of anyone's, a small valid file of its, and how content of a
fuzzer's becomes such a file.

Where a checksum guards a format, it is made right, so that what lies behind it is reached.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import own_files
from other_tools import (
    read_folder,
    read_neo,
    read_spikes,
    text,
    valid_kilosort,
    valid_mat,
    valid_mat_73,
    valid_neo,
    valid_parquet,
    valid_pynapple,
    valid_sonata,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader."""

    file: str  # the name of the file
    read: Callable[[Path], Any]  # ValueError or OSError for whatever is not valid
    # content of a valid file; may make the file, and others beside it, in the folder
    valid: Callable[[Path], bytes]
    put: Callable[[Path, bytes], object] = Path.write_bytes  # make the file of content


def valid_run(folder: Path) -> bytes:
    from neurosparse.store import Run, key, records

    spec = {"training": {"network": {"sizes": [3, 2]}, "seed": 1, "l1": 0.001}}
    file = {"weights.bin": {"bytes": 7, "sha256": "0" * 64}}
    rows = ({"error": 0.1, "layer": "hidden1", "n": 3, "none": None},)
    name = key("train", spec, "c0de")
    run = Run(
        key=name,
        kind="train",
        label={"seed": 1},
        spec=spec,
        code="c0de",
        rows=rows,
        seconds=1.5,
        files=file,
    )
    return records._canonical(run.model_dump(mode="json"))


def read_run(path: Path) -> Any:
    from neurosparse.store import Run, records

    run = records.read_record(Run, path)
    return run.table(), run.n_bytes


def sealed(content: bytes) -> bytes:
    from neurosparse.store import records

    return content[:-1] + records._seal(content)


def valid_sweep(folder: Path) -> bytes:
    return b"""kind = "train"
title = "Error"
recipe = "rectifier"
seeds = "each"
[sources]
here = "measured"
[settings]
epochs = { value = 30, source = "here" }
[grid]
l1 = { low = 0.0, high = 0.01, n = 20 }
"network.activation" = ["rectifier", "tanh"]
[random]
n = 50
values.learning_rate = { low = 0.01, high = 0.5, scale = "log" }
"""


def read_sweep(path: Path) -> Any:
    from itertools import islice

    from neurosparse import sweep

    return list(islice(sweep.load(path).points(), 3))


def spikes() -> Any:
    from neurosparse import SpikeTrains

    return SpikeTrains(
        [1.0, 2.5, 3.0],
        [0, 1, 0],
        n_units=3,
        duration_ms=10.0,
        dt_ms=0.5,
        populations={"E": (0, 2)},
    )


def valid_spikes(folder: Path) -> bytes:
    from neurosparse import recordings

    return recordings.save_spikes(spikes(), folder / "valid.npz").read_bytes()


def read_recording(path: Path) -> Any:
    from neurosparse import recordings

    recording = recordings.read(path)
    return recording.lines(), recording.provenance


def member(name: str) -> Callable[[Path], bytes]:
    """The content of an array of valid spikes."""

    def valid(folder: Path) -> bytes:
        return zipfile.ZipFile(io.BytesIO(valid_spikes(folder))).read(f"{name}.npy")

    return valid


def into_archive(name: str) -> Callable[[Path, bytes], None]:
    """Put the content of an array into an archive of spikes."""

    def put(path: Path, content: bytes) -> None:
        with (
            zipfile.ZipFile(io.BytesIO(valid_spikes(path.parent))) as old,
            zipfile.ZipFile(path, "w") as new,
        ):
            for entry in old.namelist():
                new.writestr(entry, content if entry == f"{name}.npy" else old.read(entry))

    return put


def put_header(path: Path, content: bytes) -> None:
    """Put text as the JSON header into an archive of spikes."""
    array = io.BytesIO()
    np.save(array, np.array(content.decode("utf-8", "replace")))
    into_archive("header")(path, array.getvalue())


def valid_header(folder: Path) -> bytes:
    return str(np.load(io.BytesIO(member("header")(folder)))).encode()


def valid_nwb(folder: Path) -> bytes:
    """As small as the layout allows; pynwb would add a megabyte of schemas."""
    import h5py

    path = folder / "valid.nwb"
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        units = file.create_group("units")
        units.attrs["description"] = "Units."
        units["id"] = np.arange(3)
        units["spike_times"] = [0.1, 0.5, 0.2]
        units["spike_times"].attrs["resolution"] = 1e-4
        units["spike_times_index"] = np.array([2, 3, 3], dtype=np.uint8)
        units["obs_intervals"] = np.tile([0.0, 1.0], (3, 1))
        units["obs_intervals_index"] = [1, 2, 3]
        units.create_dataset("snr", data=[1.0, 2.0, 3.0], chunks=(2,), compression="gzip")
        units.create_dataset("quality", data=["good", "noise", "good"], dtype=h5py.string_dtype())
        units["electrodes"], units["electrodes_index"] = [0, 1, 0], [1, 2, 3]
        places = np.array(["CA1", "CA3"], dtype=h5py.string_dtype())
        file["general/extracellular_ephys/electrodes/location"] = places
    return path.read_bytes()


def valid_nir(folder: Path) -> bytes:
    import torch

    from neurosparse.convert import NeuronSpec, to_nir, to_spiking
    from neurosparse.rectifier import NetworkSpec, RectifierNetwork

    model = RectifierNetwork(NetworkSpec(sizes=(3, 2, 2)), seed=1)
    neuron = NeuronSpec(kind="lif", reset="value", v_initial=0.0, tau_m_ms=20.0)
    path = folder / "valid.nir"
    to_nir(to_spiking(model, torch.eye(3), neuron), path, lossy=True)
    return path.read_bytes()


def read_nir(path: Path) -> Any:
    from neurosparse.convert import from_nir

    return from_nir(path)


def valid_weights(folder: Path) -> bytes:
    from neurosparse import rectifier

    path = folder / "valid.safetensors"
    training = rectifier.TrainSpec(network={"sizes": [4, 3, 2]})
    rectifier.save(rectifier.RectifierNetwork(training.network), path, training=training)
    return path.read_bytes()


def read_weights(path: Path) -> Any:
    from neurosparse import rectifier
    from neurosparse.rectifier import weights

    return rectifier.load(path), weights.load_training_spec(path)


def valid_checkpoint(folder: Path) -> bytes:
    from neurosparse import rectifier
    from neurosparse.data import ImageSet, Splits

    images = ImageSet(
        np.random.default_rng(1).random((12, 4), dtype=np.float32), np.arange(12) % 2, 2, (4,)
    )
    spec = rectifier.TrainSpec(network={"sizes": [4, 3, 2]}, epochs=1, batch_size=4)
    rectifier.train(
        spec, Splits("toy", images, images, images), checkpoint=folder / "valid.safetensors"
    )
    return (folder / "valid.safetensors").read_bytes()


def read_checkpoint(path: Path) -> Any:
    from neurosparse.rectifier import checkpoints

    return checkpoints.load_checkpoint(path)


def valid_images(folder: Path) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, x=np.zeros((30, 2, 2), np.uint8), y=np.arange(30) % 3)
    return content.getvalue()


def read_images(path: Path) -> Any:
    from neurosparse import data

    return data.load(str(path))


def valid_array(folder: Path) -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros((3, 4), np.float32))
    return content.getvalue()


def read_arrays(path: Path) -> Any:
    from neurosparse.probe import loading

    return loading.inputs(str(path))


def saved_comparison(name: str) -> Callable[[Path], bytes]:
    """A file of a comparison, the others beside it."""

    def valid(folder: Path) -> bytes:
        import neurosparse as ns

        circuit = ns.measure(spikes(), active_when=ns.ActiveWhen(window_ms=5.0), name="circuit")
        ns.compare(circuit).save(folder)
        return (folder / name).read_bytes()

    return valid


def read_comparison(path: Path) -> Any:
    from neurosparse.comparison import files as saved

    return saved.read(path.parent)


def read_text(path: Path) -> Any:
    from neurosparse.data import texts

    return texts.load(path)


TARGETS = {
    "manifest": Target("manifest.json", read_run, lambda folder: sealed(valid_run(folder))),
    "sealed manifest": Target(
        "manifest.json",
        read_run,
        valid_run,
        lambda path, content: path.write_bytes(sealed(content)),
    ),
    "sweep": Target("sweep.toml", read_sweep, valid_sweep),
    "spikes": Target("spikes.npz", read_recording, valid_spikes),
    "header of spikes": Target("spikes.npz", read_recording, valid_header, put_header),
    "array of spikes": Target(
        "spikes.npz", read_recording, member("times_ms"), into_archive("times_ms")
    ),
    "recording": Target("recording.nwb", read_recording, valid_nwb),
    "nir": Target("network.nir", read_nir, valid_nir),
    "weights": Target("weights.safetensors", read_weights, valid_weights),
    "checkpoint": Target("checkpoint.safetensors", read_checkpoint, valid_checkpoint),
    "images": Target("images.npz", read_images, valid_images),
    "array": Target("array.npy", read_arrays, valid_array),
    "comparison": Target("comparison.json", read_comparison, saved_comparison("comparison.json")),
    "curves": Target("curves.npz", read_comparison, saved_comparison("curves.npz")),
    "units": Target("activity.parquet", read_comparison, saved_comparison("activity.parquet")),
    "csv": Target("spikes.csv", read_spikes(), text("time_s,unit\n|{t},{u}\n")),
    "text": Target(
        "spikes.txt", read_spikes(layout="times,units", time_unit="s"), text("|{t}\t{u}\n")
    ),
    "trains": Target("spikes.txt", read_spikes(layout="trains", time_unit="s"), text("|0.1 {t}\n")),
    "nest": Target(
        "s-3-0.dat", read_spikes(), text("# NEST version: 3\nsender\ttime_ms\n|{u}\t{t}\n")
    ),
    "params of phy": Target("params.py", read_folder, valid_kilosort("params.py")),
    "times of phy": Target("spike_times.npy", read_folder, valid_kilosort("spike_times.npy")),
    "labels of phy": Target("cluster_group.tsv", read_folder, valid_kilosort("cluster_group.tsv")),
    "sonata": Target("spikes.h5", read_spikes(), valid_sonata),
    "mat": Target("spikes.mat", read_spikes(times="t", units="id", time_unit="s"), valid_mat),
    "cells": Target("spikes.mat", read_spikes(times="S.spikes", time_unit="s"), valid_mat),
    "mat 7.3": Target("spikes.mat", read_spikes(times="t", time_unit="s"), valid_mat_73),
    "tsv": Target("spikes.tsv", read_spikes(), text("unit\ttime_s\n|{u}\t{t}\n")),
    "nest 2": Target("s-3-0.gdf", read_spikes(), text("|{u}\t{t}\t\n")),
    "units of phy": Target("spike_clusters.npy", read_folder, valid_kilosort("spike_clusters.npy")),
    "characters": Target(
        "text.txt", read_text, lambda folder: ("The café was closed.\n" * 60).encode()
    ),
    "recipe": Target("small.toml", own_files.read_network, lambda _: own_files.NETWORK.encode()),
    "circuit": Target(
        "circuit.toml", own_files.read_circuit, own_files.shipped("circuits/brunel2000_ai.toml")
    ),
    "population": Target(
        "population.toml",
        own_files.read_population,
        own_files.shipped("circuits/cortical_population.toml"),
    ),
    "cell": Target(
        "cell.toml", own_files.read_cell, own_files.shipped("neurons/lif_cortical.toml")
    ),
    "findings": Target("claims.json", own_files.read_findings, own_files.valid_findings),
    "idx": Target("images.gz", own_files.read_idx, own_files.valid_idx),
    "matrix": Target("images.mat", own_files.read_matrix, own_files.valid_matrix),
    "transformer": Target(
        "weights.safetensors", own_files.read_transformer, own_files.valid_transformer
    ),
    "checkpoint of a transformer": Target(
        "checkpoint.safetensors",
        own_files.read_transformer_checkpoint,
        own_files.valid_transformer_checkpoint,
    ),
    "steering": Target("steering.json", own_files.read_steering, own_files.valid_steering),
    "neo": Target("trials.mat", read_neo, valid_neo),
    "parquet": Target("spikes.parquet", read_spikes(), valid_parquet),
    "pynapple": Target("spikes.npz", read_spikes(), valid_pynapple),
}
