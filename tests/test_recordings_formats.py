"""Files of every kind that is read: each written by its own library or by its specification, and
counted by hand; what fits two layouts is refused, and nothing in a file is ever run.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import h5py
import numpy as np
import pandas
import pynapple as nap
import pynwb
import pytest
import scipy.io

import neurosparse as ns
from neurosparse import recordings
from neurosparse.recordings import formats

# unit 0 fires at 10, 40 and 160 ms, unit 1 at 70 ms, in 200 ms
TIMES_S = np.array([0.010, 0.040, 0.070, 0.160])
UNITS = np.array([0, 0, 1, 0])
WHEN = ns.ActiveWhen(window_ms=20.0)
# each of the 4 spikes is in 20 ms of window positions but the first, in 10: 70 of 2 units x 180 ms
ACTIVE = 70 / 360

pytestmark = pytest.mark.usefixtures("in_this_process")


def counted(path, *, duration_s=0.2, within=1e-3, **how):
    """Read a file and hold it against the count by hand."""
    recording = recordings.read(path, duration_s=duration_s, **how)
    spikes = recording.spikes
    assert spikes.n_units == 2
    assert sorted(spikes.counts.tolist()) == [1, 3]
    assert spikes.duration_ms == pytest.approx(200.0)
    np.testing.assert_allclose(spikes.times_ms, TIMES_S * 1e3, atol=1e-3)
    assert ns.measure(spikes, active_when=WHEN).active_fraction == pytest.approx(ACTIVE, abs=within)
    return recording


# ---- Text
# --------------------------------------------------------------------------------------------------


def rows(path, line, header=""):
    path.write_text(
        header + "".join(line.format(t=t, u=u) for t, u in zip(TIMES_S, UNITS, strict=True))
    )
    return path


@pytest.mark.parametrize(
    ("name", "header", "line", "how"),
    [
        ("a.csv", "time_s,unit\n", "{t},{u}\n", {}),
        ("a.csv", "unit,time_ms\n", "{u},{t}e3\n", {}),
        ("a.csv", '"unit";"spike time (s)"\n', '"n{u}";{t}\n', {}),
        ("a.csv", "\ufefftime_s,unit,layer\n", "{t},{u},L4\n", {}),
        ("a.csv", "when,who\n", "{t},{u}\n", {"times": "when", "units": "who", "time_unit": "s"}),
        ("a.tsv", "time\tcluster\n", "{t}\t{u}\n", {"time_unit": "s"}),
        ("a.txt", "# by hand\n# time_s unit\n", "{t} {u}\n", {}),
        ("a.txt", "", "{t}\t{u}\n", {"layout": "times,units", "time_unit": "s"}),
        ("a.csv", "", "{u},{t}e3\n", {"layout": "units,times", "time_unit": "ms"}),
        ("a.dat", "", "{t} {u}\n", {"layout": "times,units", "time_unit": "s"}),
    ],
)  # fmt: skip
def test_text_with_a_row_a_spike(tmp_path, name, header, line, how):
    counted(rows(tmp_path / name, line, header), **how)


def test_text_that_pandas_wrote(tmp_path):
    frame = pandas.DataFrame({"spike_time_ms": TIMES_S * 1e3, "neuron": UNITS, "area": "V1"})
    frame.to_csv(tmp_path / "a.csv")  # with its index as a column of no name
    recording = counted(tmp_path / "a.csv")
    assert recording.spikes.populations == {"V1": (0, 2)}
    assert counted(tmp_path / "a.csv", n_units=None, where=["area=V1"]).where == ("area=V1",)
    assert recordings.read(tmp_path / "a.csv", duration_s=0.2, n_units=5).spikes.n_units == 5


def test_text_with_a_line_a_unit(tmp_path):
    (tmp_path / "a.txt").write_text("0.01 0.04 0.16\n0.07\n")
    counted(tmp_path / "a.txt", time_unit="s")
    (tmp_path / "b.txt").write_text("10\t40\t160\n\n70\n\n\n")  # the second unit is silent
    spikes = recordings.read(
        tmp_path / "b.txt", time_unit="ms", layout="trains", duration_s=0.2
    ).spikes
    assert spikes.counts.tolist() == [3, 0, 1]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.dat"])
@pytest.mark.parametrize("line", ["{t}\t{u}\n", "{u}\t{t}\n", "{t},{u}\n", "{u} {t}\n"])
def test_two_columns_without_a_header_are_refused_unless_told(tmp_path, name, line):
    path = rows(tmp_path / name, line)
    with pytest.raises(ValueError, match=r"2 columns .* give layout \(--layout\): 'times,units'"):
        recordings.read(path, duration_s=0.2)
    layout = "times,units" if line.startswith("{t}") else "units,times"
    counted(path, layout=layout, time_unit="s")


@pytest.mark.parametrize(
    ("content", "how", "said"),
    [
        ("", {}, "it holds no rows"),
        ("# nothing\n\n", {}, "it holds no rows"),
        ("time,unit\n0.1,1\n", {}, r"give time_unit \(--time-unit\)"),
        ("time_s,unit\n0.1,1\n", {"layout": "trains"}, "its header names the columns"),
        ("time_s,unit\n0.1\n", {}, "its rows have 1"),
        ("time_s,unit\nx,1\n", {}, "must be numbers"),
        ("time_s,unit\nnan,1\n", {}, "must be finite"),
        ("time_s,unit\n0.1,1.5\n", {}, "whole numbers or texts"),
        (
            "a,b\n1,2\n",
            {},
            r"name the column of times with times=COLUMN \(--times\); there are: a, b",
        ),
        ("time_s,t,unit\n1,2,3\n", {}, "several could be: time_s, t"),
        ("0.1,1\n0.2,1\n", {"layout": "columns"}, "layout must be 'times"),
        ("0.1\n0.2\n", {}, "give layout"),
        ("a\0b,unit\n1,2\n", {}, "not text"),
        ("time_s,unit\n0.1,1\n", {"time_unit": "ms"}, "time_s are in s"),
    ],
)
def test_text_that_does_not_hold_together_is_one_sentence(tmp_path, content, how, said):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=said) as caught:
        recordings.read(tmp_path / "a.csv", duration_s=1.0, **how)
    assert "\n" not in str(caught.value)


# ---- NEST
# --------------------------------------------------------------------------------------------------

NEST_3 = "# NEST version: 3.6.0\n# RecordingBackendASCII version: 2\nsender\ttime_ms\n"


def nest(path, units=UNITS, header=NEST_3, shift_ms=0.0):
    lines = [
        f"{u + 1}\t{t * 1e3 + shift_ms:.3f}\t\n"
        for t, u in zip(TIMES_S, UNITS, strict=True)
        if u in units
    ]
    path.write_text(header + "".join(lines))
    return path


@pytest.mark.parametrize(
    ("name", "header"), [("s-3-0.dat", NEST_3), ("s-3-0.gdf", ""), ("s.txt", NEST_3)]
)
def test_files_of_nest_versions_2_and_3(tmp_path, name, header):
    recording = counted(nest(tmp_path / name, header=header))
    assert recording.format == "NEST recorder"


def test_a_spike_at_the_very_end_belongs_to_a_record_of_nest(tmp_path):
    (tmp_path / "s-3-0.gdf").write_text("1\t0.1\t\n1\t200.0\t\n")
    assert len(recordings.read(tmp_path / "s-3-0.gdf", duration_s=0.2).spikes) == 2


def test_threads_of_a_recorder_belong_together_and_recorders_are_populations(tmp_path):
    nest(tmp_path / "exc-7-0.dat", units=[0])
    nest(tmp_path / "exc-7-1.dat", units=[1])
    for path in (tmp_path, tmp_path / "exc-7-*.dat"):
        assert counted(path).spikes.populations == {}
    nest(tmp_path / "inh-8-0.dat", units=[])  # a thread without spikes
    counted(tmp_path)
    (tmp_path / "inh-8-1.dat").write_text(NEST_3 + "30\t5.000\n")
    recording = recordings.read(tmp_path, duration_s=0.2)
    assert recording.spikes.populations == {"exc-7": (0, 2), "inh-8": (2, 3)}
    assert recordings.read(tmp_path / "exc-7-1.dat", duration_s=0.2).spikes.n_units == 1


def test_what_nest_settles_is_not_asked(tmp_path):
    with pytest.raises(ValueError, match="NEST settles time_unit"):
        recordings.read(nest(tmp_path / "s-3-0.dat"), duration_s=0.2, time_unit="s")
    (tmp_path / "steps-3-0.dat").write_text(
        NEST_3.replace("time_ms", "time_step\ttime_offset") + "1\t100\t0.0\n"
    )
    with pytest.raises(ValueError, match="record with time_in_steps False"):
        recordings.read(tmp_path / "steps-3-0.dat", duration_s=0.2)


# ---- Kilosort and phy
# --------------------------------------------------------------------------------------------------


def phy(folder, *, column=True, params="sample_rate = 30000.\n"):
    folder.mkdir(exist_ok=True)
    samples = np.rint(TIMES_S * 30_000).astype("u8")
    np.save(folder / "spike_times.npy", samples[:, None] if column else samples)
    np.save(folder / "spike_templates.npy", UNITS[:, None].astype("u4"))
    np.save(folder / "spike_clusters.npy", (3 * UNITS + 1).astype("i4"))
    (folder / "params.py").write_text(params)
    return folder


@pytest.mark.parametrize("column", [True, False])
def test_a_folder_of_kilosort_with_labels(tmp_path, column):
    folder = phy(tmp_path / "ks", column=column)
    recording = counted(folder)
    assert recording.format == "Kilosort/phy"
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tgood\n4\tmua\n9\tnoise\n")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n1\tgood\n")
    (folder / "cluster_info.tsv").write_text(
        "cluster_id\tdepth\tgroup\n1\t20.5\tgood\n4\t40\tmua\n"
    )
    recording = counted(folder)
    assert recording.columns["group"] == "good 1, mua 1"
    assert recording.columns["depth"] == "20.5 to 40"
    assert recording.columns["KSLabel"] == "empty 1, good 1"
    assert recordings.read(folder, duration_s=0.2, where=["group=good"]).spikes.counts.tolist() == [
        3
    ]


def test_a_folder_that_spikeinterface_reads_too(tmp_path):
    from spikeinterface.extractors import read_phy

    folder = phy(tmp_path / "ks", params="dat_path = 'x.dat'\nsample_rate = 30000.\n")
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tgood\n4\tmua\n")
    theirs = read_phy(folder)
    ours = recordings.read(folder, duration_s=0.2).spikes
    assert ours.counts.tolist() == [theirs.get_unit_spike_train(u).size for u in theirs.unit_ids]
    assert ns.as_spikes(theirs, duration_ms=200).counts.tolist() == ours.counts.tolist()


def test_params_are_text_that_is_never_run(tmp_path):
    ran = tmp_path / "ran"
    evil = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
    counted(phy(tmp_path / "ks", params=evil + "n_channels_dat = 4\nsample_rate = 30000\n"))
    for params, said in (
        (
            evil + f"sample_rate = pathlib.Path({str(ran)!r}).touch()\n",
            "does not say sample_rate as a number",
        ),
        ("sample_rate = 0\n", "which is no rate"),
        ("sample_rate = '30000'\n", "which is no rate"),
        ("sample_rate = (((\n", "is not Python"),
        ("rate = 3\n", "does not say sample_rate"),
    ):
        with pytest.raises(ValueError, match=said):
            recordings.read(phy(tmp_path / "ks", params=params), duration_s=0.2)
    assert not ran.exists()
    (tmp_path / "ks" / "params.py").unlink()
    with pytest.raises(ValueError, match=r"holds no params\.py"):
        recordings.read(tmp_path / "ks", duration_s=0.2)


def test_arrays_of_kilosort_that_do_not_fit_are_refused(tmp_path):
    folder = phy(tmp_path / "ks")
    np.save(folder / "spike_clusters.npy", UNITS[:2])
    with pytest.raises(ValueError, match=r"holds 4 spikes and spike_clusters\.npy 2"):
        recordings.read(folder, duration_s=0.2)
    np.save(folder / "spike_times.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="must hold a number a spike"):
        recordings.read(folder, duration_s=0.2)
    np.save(folder / "spike_times.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"spike_times\.npy: "):
        recordings.read(folder, duration_s=0.2)


def test_what_numpy_says_in_several_lines_is_one_sentence(tmp_path):
    folder = phy(tmp_path / "ks")
    path = folder / "spike_times.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }".ljust(20_000)
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(32))
    with pytest.raises(ValueError, match=r"spike_times\.npy: Header info") as refused:
        recordings.read(folder, duration_s=0.2)
    assert "\n" not in str(refused.value)


# ---- pynapple, Parquet
# --------------------------------------------------------------------------------------------------


def test_what_pynapple_saved(tmp_path):
    support = nap.IntervalSet(0, 0.2)
    members = {k: nap.Ts(TIMES_S[u == UNITS], time_support=support) for u, k in enumerate((5, 8))}
    members[9] = nap.Ts(np.array([]), time_support=support)
    nap.TsGroup(members, time_support=support).save(str(tmp_path / "group.npz"))
    recording = recordings.read(tmp_path / "group.npz")
    assert (recording.format, recording.spikes.n_units) == ("pynapple npz", 3)
    np.testing.assert_allclose(recording.spikes.times_ms, TIMES_S * 1e3, atol=1e-6)
    fraction = ns.measure(recording.spikes, active_when=WHEN).active_fraction
    assert fraction == pytest.approx(70 / 540, abs=1e-6)
    counted(tmp_path / "group.npz", where=["id<9"], within=1e-6)
    members[5].save(str(tmp_path / "one.npz"))
    assert recordings.read(tmp_path / "one.npz").spikes.counts.tolist() == [3]


def test_metadata_of_pynapple_are_a_pickle_that_is_left_shut(tmp_path):
    support = nap.IntervalSet([0, 0.1], [0.05, 0.2])
    group = nap.TsGroup(
        {0: nap.Ts(TIMES_S[:1], time_support=support)},
        time_support=support,
        metadata={"area": ["V1"]},
    )
    group.save(str(tmp_path / "a.npz"))
    recording = recordings.read(tmp_path / "a.npz")
    assert recording.said == (
        "Its metadata are Python objects, which only pickle reads, and were left out.",
    )
    np.testing.assert_allclose(recording.spikes.intervals, [[0, 50], [100, 200]])


def test_parquet_that_pandas_and_polars_wrote(tmp_path):
    import polars

    columns = {"time_s": TIMES_S, "unit": UNITS, "layer": ["L4", "L4", "L5", "L4"], "other": 1}
    pandas.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    polars.DataFrame(columns).write_parquet(tmp_path / "b.parquet")
    for name in ("a", "b"):
        recording = counted(tmp_path / f"{name}.parquet", populations="layer")
        assert recording.spikes.populations == {"L4": (0, 1), "L5": (1, 2)}
    with pytest.raises(ValueError, match="no column 'x' of times"):
        recordings.read(tmp_path / "a.parquet", times="x", duration_s=1)


@pytest.mark.parametrize("name", ["trial", "Trials", "trial_id", "sweep number", "repetition"])
def test_trials_that_lie_over_each_other_are_refused(tmp_path, name):
    anew = pandas.DataFrame({"time_s": TIMES_S, "unit": UNITS, name: [1, 2, 2, 1]})
    anew.to_csv(tmp_path / "a.csv")
    anew.to_parquet(tmp_path / "a.parquet")
    said = rf"its 2 trials \(column '{name}'\) lie over each other: pass one trial at a time"
    for file in ("a.csv", "a.parquet"):
        with pytest.raises(ValueError, match=said):
            recordings.read(tmp_path / file, duration_s=0.2)
    for what in (anew, {column: anew[column].to_numpy() for column in anew}):
        with pytest.raises(ValueError, match=said):
            ns.as_spikes(what, duration_ms=200)
    anew.assign(**{name: ["b", "b", "c", "a"]}).to_csv(tmp_path / "b.csv")  # one after the other
    counted(tmp_path / "b.csv")


# ---- HDF5: SONATA and NWB
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "scale"), [("milliseconds", 1e3), ("ms", 1e3), ("s", 1), (None, 1e3)]
)
def test_sonata_by_its_specification(tmp_path, unit, scale):
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        group = file.create_group("spikes/v1")
        group["node_ids"], group["timestamps"] = UNITS.astype("u8") + 40, TIMES_S * scale
        group.attrs.create(
            "sorting", 2, dtype=h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2})
        )
        if unit:
            group["timestamps"].attrs["units"] = unit
    recording = counted(tmp_path / "spikes.h5")
    assert (recording.format, recording.spikes.populations) == ("SONATA", {"v1": (0, 2)})
    with h5py.File(tmp_path / "spikes.h5", "r+") as file:
        group = file.create_group("spikes/lgn")
        group["node_ids"], group["timestamps"] = [40, 40], np.array([0.02, 0.03]) * scale
        if unit:
            group["timestamps"].attrs["units"] = unit
    recording = recordings.read(tmp_path / "spikes.h5", duration_s=0.2)
    assert recording.spikes.populations == {"lgn": (0, 1), "v1": (1, 3)}
    counted(tmp_path / "spikes.h5", where=["population=v1"])


def test_sonata_of_before_populations(tmp_path):
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/gids"], file["spikes/timestamps"] = UNITS, TIMES_S * 1e3
    assert counted(tmp_path / "spikes.h5").spikes.populations == {}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda f: f.create_group("data"), "neither NWB nor SONATA"),
        (lambda f: f.create_group("spikes/v1"), "no population with timestamps"),
        (lambda f: f.create_dataset("spikes/timestamps", data=[1.0]), "but no node_ids"),
        (
            lambda f: (
                f.update({"spikes/timestamps": [1.0], "spikes/gids": [1, 2]})
                if hasattr(f, "update")
                else None
            ),
            "of one length",
        ),
    ],
)
def test_hdf5_of_another_kind_is_one_sentence(tmp_path, write, said):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    with pytest.raises(ValueError, match=said):
        recordings.read(tmp_path / "a.h5", duration_s=1)


def session(tmp_path, fill):
    file = pynwb.NWBFile(
        session_description="x", identifier="x", session_start_time=datetime(2020, 1, 1, tzinfo=UTC)
    )
    fill(file)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(file)
    return tmp_path / "a.nwb"


def test_nwb_in_the_style_of_the_allen_institute(tmp_path):
    def fill(file):
        device = file.create_device(name="probe")
        group = file.create_electrode_group(name="A", description="", location="", device=device)
        for place in ("VISp", "CA1"):
            file.add_electrode(location=place, group=group, id=850 + (place == "CA1"))
        for name in ("peak_channel_id", "quality", "isi_violations"):
            file.add_unit_column(name, "x")
        for u in (0, 1):
            file.add_unit(
                spike_times=TIMES_S[u == UNITS] + 5.0, id=950_000 + u, peak_channel_id=850 + u,
                quality="good", isi_violations=0.1 * u,
            )  # fmt: skip

    path = session(tmp_path, fill)
    recording = counted(path, start_s=5.0)
    assert recording.spikes.populations == {"VISp": (0, 1), "CA1": (1, 2)}
    assert (
        recordings.read(
            path, start_s=5, duration_s=0.2, where=["isi_violations<0.05"]
        ).spikes.n_units
        == 1
    )


def test_nwb_in_the_style_of_the_ibl(tmp_path):
    def fill(file):
        device = file.create_device(name="probe00")
        group = file.create_electrode_group(
            name="probe00", description="", location="x", device=device
        )
        for place in ("VISp1", "CA1"):
            file.add_electrode(location=place, group=group)
        file.add_unit_column("cluster_uuid", "x")
        file.add_unit_column("ks2_label", "x")
        for u in (0, 1):
            file.add_unit(
                spike_times=TIMES_S[u == UNITS], electrodes=[u], electrode_group=group,
                cluster_uuid=f"u{u}", ks2_label=["good", "mua"][u], obs_intervals=[[0.0, 0.2]],
            )  # fmt: skip

    path = session(tmp_path, fill)
    recording = counted(path, duration_s=None)
    assert recording.spikes.populations == {"VISp1": (0, 1), "CA1": (1, 2)}
    path.rename(tmp_path / "a.h5")  # under another suffix
    counted(tmp_path / "a.h5", duration_s=None)


# ---- MATLAB
# --------------------------------------------------------------------------------------------------


def cells():
    found = np.empty((1, 2), dtype=object)
    found[0, 0], found[0, 1] = TIMES_S[UNITS == 0][:, None], TIMES_S[UNITS == 1][:, None]
    return found


@pytest.mark.parametrize("format_", ["4", "5"])
def test_mat_of_before_version_7_3(tmp_path, format_):
    variables = {"st": TIMES_S[None], "clu": UNITS[None] + 1.0, "other": np.eye(3)}
    scipy.io.savemat(tmp_path / "a.mat", variables, format=format_)
    counted(tmp_path / "a.mat", times="st", units="clu", time_unit="s")
    with pytest.raises(
        ValueError, match=r"name the variable with the times .* there are: st, clu, other"
    ):
        recordings.read(tmp_path / "a.mat", duration_s=0.2)
    with pytest.raises(ValueError, match="no variable 'x'; there are: st"):
        recordings.read(tmp_path / "a.mat", duration_s=0.2, times="x")
    usual = {"spike_times_ms": TIMES_S * 1e3, "unit_id": UNITS}
    scipy.io.savemat(tmp_path / "b.mat", usual, format=format_)
    counted(tmp_path / "b.mat")


def test_mat_with_cells_and_structs(tmp_path):
    content = {"cells": cells(), "S": {"spikes": cells(), "t": TIMES_S, "id": UNITS}}
    scipy.io.savemat(tmp_path / "a.mat", content)
    for name in ("cells", "S.spikes"):
        counted(tmp_path / "a.mat", times=name, time_unit="s")
    counted(tmp_path / "a.mat", times="S.t", units="S.id", time_unit="s")
    with pytest.raises(ValueError, match="has no field 'x'; there are: spikes, t, id"):
        recordings.read(tmp_path / "a.mat", times="S.x", duration_s=1, time_unit="s")


def test_mat_of_version_7_3(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["st"], file["clu"] = TIMES_S[:, None], UNITS[:, None] + 1.0
        file["S/t"] = TIMES_S[None]
        for k in (0, 1):
            file[f"#refs#/{k}"] = TIMES_S[k == UNITS][:, None]
        file["#refs#/2"] = np.zeros(2, "u8")  # an empty cell
        references = [[file[f"#refs#/{k}"].ref] for k in (0, 1, 2)]
        file.create_dataset("cells", data=references, dtype=h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    counted(path, times="st", units="clu", time_unit="s")
    counted(path, times="S.t", units="clu", time_unit="s")
    each = recordings.read(path, times="cells", time_unit="s", duration_s=0.2).spikes
    assert each.counts.tolist() == [3, 1, 0]
    with pytest.raises(ValueError, match=r"no variable 'y'; there are: S, cells, clu, st"):
        recordings.read(path, times="y", duration_s=1)


# ---- All of them
# --------------------------------------------------------------------------------------------------


def test_formats_are_found_not_listed():
    names = [kind.__name__.rpartition(".")[2] for kind in formats.registry()]
    assert names[0] == "nwb"
    assert names[-1] == "neo_files"
    assert {"kilosort", "matlab", "nest_files", "parquet", "pynapple_npz", "sonata", "text"} < set(
        names
    )


@pytest.mark.parametrize("name", ["a.nwb", "a.npz", "a.h5"])
def test_what_a_format_settles_cannot_be_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"settles time_unit.*leave it out"):
        recordings.read(tmp_path / name, time_unit="s", duration_s=1)


def test_what_is_not_read_is_refused_without_the_name_of_a_reader(tmp_path):
    path = tmp_path / "notes.docx"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="no format that is read") as caught:
        recordings.read(path)
    assert not re.search(
        "Neo|IO", str(caught.value).removeprefix(f"cannot read spikes from {path}")
    )


def test_a_folder_without_a_recording_is_told_what_was_looked_for(tmp_path, monkeypatch):
    said = r"no recording in .*folder: looked for .*params.py \(Kilosort, phy\), .*what Neo"
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=f"{said} reads; it is empty$"):
        recordings.read(folder)
    for name in ("settings.xml", "a.continuous", "notes.txt"):
        (folder / name).write_text("1 2")
    with pytest.raises(FileNotFoundError, match=f"{said} reads$"):
        recordings.read(folder)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=rf"{said} reads \(pip install "):
        recordings.read(folder)


@pytest.mark.parametrize("column", ["V_m", "weights"])
def test_what_other_recorders_of_nest_wrote_is_no_spikes(tmp_path, column):
    path = tmp_path / "m-3-0.dat"
    rows = [f"{u + 1}\t{1e3 * t:.3f}\t-60.0\n" for t, u in zip(TIMES_S, UNITS, strict=True)]
    path.write_text(f"# NEST version: 3\nsender\ttime_ms\t{column}\n" + "".join(rows))
    with pytest.raises(ValueError, match=f"its column {column} is that of a multimeter"):
        recordings.read(path, duration_s=0.2)
