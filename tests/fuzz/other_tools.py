"""Small valid files of spikes as other tools write them, and how they are read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TIMES_S, UNITS = np.array([0.1, 0.25, 0.3]), np.array([0, 1, 0])


def read_spikes(**told: Any) -> Callable[[Path], Any]:
    """Read with what a user says of such a file."""

    def read(path: Path) -> Any:
        from neurosparse import recordings

        return recordings.read(path, duration_s=1.0, **told).lines()

    return read


def read_folder(path: Path) -> Any:
    return read_spikes()(path.parent)


def read_neo(path: Path) -> Any:
    from neurosparse import recordings

    return recordings.read(path).lines()


def valid_neo(folder: Path) -> bytes:
    import neo
    import quantities as pq

    train = neo.SpikeTrain(TIMES_S * pq.s, t_start=0 * pq.s, t_stop=1 * pq.s, quality="good")
    segment, block = neo.Segment(), neo.Block()
    segment.spiketrains.append(train)
    block.segments.append(segment)
    neo.io.NeoMatlabIO(str(folder / "valid.mat")).write_block(block)
    return (folder / "valid.mat").read_bytes()


def text(line: str) -> Callable[[Path], bytes]:
    """The content of a text with such lines, as a header and rows."""
    header, _, row = line.partition("|")
    rows = [row.format(t=t, u=u) for t, u in zip(TIMES_S, UNITS, strict=True)]
    return lambda folder: (header + "".join(rows)).encode()


def valid_kilosort(name: str) -> Callable[[Path], bytes]:
    """A file of a folder, the others beside it."""

    def valid(folder: Path) -> bytes:
        np.save(folder / "spike_times.npy", np.rint(TIMES_S * 1000).astype("u8")[:, None])
        np.save(folder / "spike_clusters.npy", UNITS.astype("i4"))
        (folder / "params.py").write_text("n_channels_dat = 4\nsample_rate = 1000.\n")
        (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tmua\n")
        return (folder / name).read_bytes()

    return valid


def valid_sonata(folder: Path) -> bytes:
    import h5py

    with h5py.File(folder / "valid.h5", "w") as file:
        file["spikes/v1/node_ids"], file["spikes/v1/timestamps"] = UNITS, TIMES_S * 1e3
        file["spikes/v1/timestamps"].attrs["units"] = "ms"
    return (folder / "valid.h5").read_bytes()


def valid_mat(folder: Path) -> bytes:
    import scipy.io

    content = io.BytesIO()
    cells = np.empty(2, dtype=object)
    cells[:] = [TIMES_S[:2], TIMES_S[2:]]
    scipy.io.savemat(content, {"S": {"spikes": cells}, "t": TIMES_S, "id": UNITS})
    return content.getvalue()


def valid_mat_73(folder: Path) -> bytes:
    """A cell array as MATLAB keeps it since version 7.3: references into an HDF5 file."""
    import h5py

    with h5py.File(folder / "valid.mat", "w", userblock_size=512) as file:
        cells = [file.create_dataset(f"#refs#/{k}", data=TIMES_S[:k]) for k in (3, 2)]
        file["t"] = np.array([[cell.ref for cell in cells]], dtype=h5py.ref_dtype)
    return (folder / "valid.mat").read_bytes()


def valid_parquet(folder: Path) -> bytes:
    import pyarrow
    import pyarrow.parquet

    content = io.BytesIO()
    columns = {"time_s": TIMES_S, "unit": UNITS, "area": ["V1", "V1", "V1"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


def valid_pynapple(folder: Path) -> bytes:
    content = io.BytesIO()
    arrays = {"t": TIMES_S, "index": UNITS, "keys": np.arange(2)}
    np.savez(content, **arrays, start=np.array([0.0]), end=np.array([1.0]))
    return content.getvalue()
