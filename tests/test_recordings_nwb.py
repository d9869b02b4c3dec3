"""NWB: real spike trains, files that pynwb wrote, pynwb as a reader of ours; observation,
conditions, populations; damage.
"""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import nitime
import numpy as np
import pynwb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neurosparse as ns
from neurosparse.recordings import UPPER_BOUND, load_spikes, read, save_spikes
from neurosparse.recordings.nwb import write_nwb

LOCUST = [Path(nitime.__file__).parent / "data" / f"grasshopper_spike_times{k}.txt" for k in (1, 2)]


pytestmark = pytest.mark.usefixtures("in_this_process")


def session():
    return pynwb.NWBFile(
        session_description="test",
        identifier="test",
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
    )


def write(file, path):
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


@pytest.fixture
def by_pynwb(tmp_path):
    """Four units over two stretches, with quality columns and electrodes, added one by one as most
    files are made.
    """
    file = session()
    device = file.create_device(name="probe")
    groups = {
        area: file.create_electrode_group(name=area, description="", location=area, device=device)
        for area in ("VISp", "CA1")
    }
    for area in ("VISp", "VISp", "CA1"):
        file.add_electrode(location=area, group=groups[area])
    file.add_unit_column("quality", "by hand")
    file.add_unit_column("snr", "signal over noise")
    file.add_unit_column("merged", "by hand")
    for times, quality, snr, electrodes, observed in [
        ([2.5, 3.0, 9.0, 21.0], "good", 4.0, [0], [[2.0, 10.0], [20.0, 22.0]]),
        ([5.0], "mua", 1.5, [2], [[1.0, 9.5], [20.0, 21.0]]),
        ([], "good", np.nan, [0, 1], [[0.0, 30.0]]),
        ([4.0, 9.4], "good", 3.0, [0, 2], [[0.0, 4.0], [4.0, 30.0]]),
    ]:
        file.add_unit(
            spike_times=np.array(times), quality=quality, snr=snr, merged=snr == 3.0, electrodes=electrodes,
            obs_intervals=observed,
        )  # fmt: skip
    return write(file, tmp_path / "session.nwb")


# ---- Real trains
# --------------------------------------------------------------------------------------------------


def test_the_locust_trains_have_their_known_rates_and_intervals(tmp_path):
    file = session()
    for path in LOCUST:
        file.add_unit(spike_times=np.loadtxt(path) * 1e-6)
    path = write(file, tmp_path / "locust.nwb")
    with pytest.raises(
        ValueError, match=r"give duration_s \(--duration-s\); the first spike is at .*, the last"
    ):
        read(path)
    recording = read(path, duration_s=10.0)
    stats = ns.measure(recording.spikes, active_when=ns.ActiveWhen(window_ms=10.0))
    assert stats.unit_rates_hz == pytest.approx([92.9, 87.0], rel=5e-3)
    assert ns.sparsity.isi_cv(recording.spikes) == pytest.approx([0.53, 0.45], abs=0.01)
    assert recording.note == UPPER_BOUND
    assert recording.provenance["observation"] == "given by the user"


# ---- Files that pynwb wrote
# --------------------------------------------------------------------------------------------------


def test_all_stretches_that_the_units_share_are_read(by_pynwb):
    recording = read(by_pynwb)
    assert recording.observed_s == ((2.0, 9.5), (20.0, 21.0))
    assert (recording.start_s, recording.stop_s) == (2.0, 21.0)
    assert recording.spikes.intervals.tolist() == [[0.0, 7500.0], [18_000.0, 19_000.0]]
    assert (recording.spikes.observed_ms, recording.spikes.start_ms) == (8500.0, 2000.0)
    assert "observed from 2 to 21 s, 8.5 s in 2 pieces." in recording.lines()[0]
    assert recording.n_outside == 1  # 21.0 of the first unit
    assert recording.spikes.n_units == recording.n_units_in_file == 4
    by_row = {
        int(row): recording.spikes.times_ms[recording.spikes.units == k]
        for k, row in enumerate(recording.rows)
    }
    np.testing.assert_allclose(by_row[0], [500.0, 1000.0, 7000.0])
    np.testing.assert_allclose(by_row[1], [3000.0])
    assert by_row[2].size == 0
    np.testing.assert_allclose(by_row[3], [2000.0, 7400.0])


def test_the_observation_is_that_of_the_selected_units_alone(by_pynwb):
    assert read(by_pynwb, where=["quality=good"]).observed_s == ((2.0, 10.0), (20.0, 22.0))
    # trials that touch stay apart
    assert read(by_pynwb, where=["merged=true"]).observed_s == ((0.0, 4.0), (4.0, 30.0))


def test_a_part_lies_within_the_observation(by_pynwb):
    recording = read(by_pynwb, start_s=2.5, duration_s=2.0)
    assert (recording.start_s, recording.stop_s, len(recording.spikes)) == (2.5, 4.5, 3)
    recording = read(by_pynwb, start_s=9.0, duration_s=12.0)  # reaches over the gap
    assert recording.spikes.intervals.tolist() == [[0.0, 500.0], [11_000.0, 12_000.0]]
    assert read(by_pynwb, start_s=12.0, where=["snr=4"]).start_s == 20.0
    for part in ({"start_s": 10.0, "duration_s": 2.0}, {"start_s": 21.5}, {"duration_s": 20.0}):
        with pytest.raises(ValueError, match=r"not within a time .* 2 to 9\.5, 20 to 21"):
            read(by_pynwb, **part)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (["quality=good"], [0, 2, 3]),
        (["quality != good"], [1]),
        (["snr>=3"], [0, 3]),
        (["snr<3"], [1]),  # no comparison holds for NaN
        (["quality=good", "snr>3.5"], [0]),
        (["merged=false"], [0, 1, 2]),
        (["electrodes.location=VISp"], [0, 2]),
        ([], [0, 1, 2, 3]),
    ],
)
def test_conditions_select_units(by_pynwb, where, rows):
    recording = read(by_pynwb, where=where, populations="quality")
    assert sorted(recording.rows) == rows
    assert recording.spikes.n_units == len(rows)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("depth=3", "no column 'depth'; there are: "),
        ("quality", "a condition reads column=value"),
        ("=good", "a condition reads column=value"),
        ("snr=high", r"holds numbers \(1\.5 to 4\)"),
        ("quality<good", "compare it with = or !="),
        ("merged=1", "holds true and false"),
        ("quality=best", "none of its 4 units meets quality=best"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(by_pynwb, where, said):
    with pytest.raises(ValueError, match=said):
        read(by_pynwb, where=[where])


def test_populations_are_the_places_of_the_electrodes_or_a_column(by_pynwb):
    recording = read(by_pynwb)
    assert recording.population_column == "electrodes.location"
    assert recording.spikes.populations == {"VISp": (0, 2), "CA1": (2, 3), "several": (3, 4)}
    assert recording.rows.tolist() == [0, 2, 1, 3]
    assert read(by_pynwb, populations="quality").spikes.populations == {
        "good": (0, 3),
        "mua": (3, 4),
    }
    with pytest.raises(ValueError, match="no column 'layer'"):
        read(by_pynwb, populations="layer")


def test_columns_are_reported(by_pynwb):
    columns = read(by_pynwb).columns
    assert columns["quality"] == "good 3, mua 1"
    assert columns["snr"] == "1.5 to 4"
    assert columns["merged"] == "False 3, True 1"


def test_units_of_electrode_groups_have_their_places(tmp_path):
    file = session()
    device = file.create_device(name="probe")
    for area in ("M1", "S1", "M1b"):
        group = file.create_electrode_group(
            name=area, description="", location=area[:2], device=device
        )
        file.add_unit(spike_times=[1.0], obs_intervals=[[0.0, 2.0]], electrode_group=group)
    assert read(write(file, tmp_path / "a.nwb")).spikes.populations == {"M1": (0, 2), "S1": (2, 3)}


def small(path, times, *, observed=None, resolution=None):
    """Write one unit, as small as the layout allows."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        units = file.create_group("units")
        units["id"], units["spike_times"], units["spike_times_index"] = [0], times, [len(times)]
        if observed is not None:
            units["obs_intervals"] = np.array(observed, dtype=float)
            units["obs_intervals_index"] = [len(observed)]
        if resolution is not None:
            units["spike_times"].attrs["resolution"] = resolution
    return path


def test_overlapping_intervals_of_a_unit_are_merged_and_said(tmp_path):
    path = small(tmp_path / "a.nwb", [0.5, 1.5], observed=[[0, 1.2], [1, 2], [3, 4]])
    recording = read(path)
    assert recording.observed_s == ((0.0, 2.0), (3.0, 4.0))
    assert recording.said == ("1 observation intervals overlapped another and were merged.",)
    assert recording.said[0] in recording.lines()


def test_windows_lie_within_trials_of_equal_length(tmp_path):
    times, trials = [0.005, 0.095, 0.205, 0.3], [[0, 0.1], [0.2, 0.3], [0.3, 0.4]]
    recording = read(small(tmp_path / "a.nwb", times, observed=trials))
    assert recording.spikes.observed_ms == pytest.approx(300.0)
    stats = ns.measure(recording.spikes, active_when=ns.ActiveWhen(window_ms=10.0))
    # of 90 ms of positions a trial: 5 and 5 around the first two spikes, 5 and none after the others
    assert stats.active_fraction == pytest.approx((5 + 5 + 5 + 0) / 270, abs=1e-6)


def test_a_record_that_starts_late_says_where_its_spikes_are(tmp_path):
    path = small(tmp_path / "a.nwb", [3600.5, 3602.25])
    with pytest.raises(
        ValueError,
        match=r"--duration-s\), and start_s \(--start-s\) .* first .* 3600\.5 s, the last",
    ):
        read(path)
    with pytest.raises(
        ValueError, match=r"none of its 2 spikes lies in 0 to 2 s: .* at 3602\.25 s"
    ):
        read(path, duration_s=2.0)
    recording = read(path, start_s=3600.0, duration_s=3.0)
    assert recording.spikes.times_ms == pytest.approx([500.0, 2250.0])
    assert recording.spikes.start_ms == 3.6e6


@pytest.mark.parametrize(
    ("rate_hz", "kept"), [(24_414.0625, False), (44_100.0, False), (30_000.0, True), (1e4, True)]
)
def test_a_grid_that_no_usual_window_fits_is_dropped(tmp_path, rate_hz, kept):
    times = np.array([100, 5000, 9999]) / rate_hz
    path = small(
        tmp_path / "a.nwb", times, observed=[[0, 20_000 / rate_hz]], resolution=1 / rate_hz
    )
    spikes = read(path).spikes
    assert (spikes.dt_ms is not None) == kept
    np.testing.assert_allclose(spikes.times_ms, times * 1e3)
    assert ns.measure(spikes, active_when=ns.ActiveWhen(window_ms=10.0)).n_spikes == 3


# ---- Files that we write
# --------------------------------------------------------------------------------------------------


@st.composite
def trains(draw):
    n_units = draw(st.integers(1, 6))
    dt_ms = draw(st.sampled_from([0.1, 0.025, 1.0]))
    n_ticks = draw(st.integers(1, 5000))
    n = draw(st.integers(0, 40))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    split = draw(st.integers(0, n_units - 1))
    return ns.SpikeTrains(
        rng.integers(0, n_ticks, n) * dt_ms,
        rng.integers(0, n_units, n),
        n_units=n_units,
        duration_ms=n_ticks * dt_ms,
        dt_ms=dt_ms,
        populations={} if split == 0 else {"E": (0, split), "I": (split, n_units)},
    )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spikes=trains())
def test_what_is_written_comes_back(tmp_path, spikes):
    back = load_spikes(save_spikes(spikes, tmp_path / "a.nwb"))
    np.testing.assert_array_equal(back.ticks, spikes.ticks)
    np.testing.assert_array_equal(back.units, spikes.units)
    assert (back.n_units, back.dt_ms, back.populations) == (
        spikes.n_units,
        spikes.dt_ms,
        spikes.populations,
    )
    assert back.duration_ms == pytest.approx(spikes.duration_ms, rel=1e-12)


def test_pynwb_reads_what_we_write(tmp_path):
    spikes = ns.SpikeTrains(
        [0.1, 0.3, 7.0], [2, 0, 2], n_units=4, duration_ms=8.0, populations={"E": (0, 3)}
    )
    path = save_spikes(spikes, tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        units = io.read().units
        assert [units.get_unit_spike_times(k).tolist() for k in range(4)] == [
            [0.3e-3],
            [],
            [0.1e-3, 7.0e-3],
            [],
        ]
        assert units.get_unit_obs_intervals(3).tolist() == [[0.0, 0.008]]
        assert list(units["population"][:]) == ["E", "E", "E", ""]
    assert pynwb.validate(path=str(path)) == []


def test_all_units_of_a_circuit_need_no_caution_but_a_recording_does(tmp_path):
    spikes = ns.SpikeTrains([0.1], [0], n_units=2, duration_ms=8.0)
    assert read(write_nwb(spikes, tmp_path / "a.nwb")).note == ""
    assert read(write_nwb(spikes, tmp_path / "a.nwb", all_units=False)).note == UPPER_BOUND


def test_overlapping_populations_cannot_be_written(tmp_path):
    spikes = ns.SpikeTrains(
        [0.1], [0], n_units=3, duration_ms=8.0, populations={"E": (0, 2), "whole": (0, 3)}
    )
    with pytest.raises(ValueError, match="populations 'E' and 'whole' overlap"):
        save_spikes(spikes, tmp_path / "a.nwb")
    assert not (tmp_path / "a.nwb").exists()


def test_times_off_the_named_grid_are_read_without_it(tmp_path):
    path = save_spikes(
        ns.SpikeTrains([1.0], [0], n_units=1, duration_ms=8.0, dt_ms=1.0), tmp_path / "a.nwb"
    )
    with h5py.File(path, "r+") as file:
        file["units/spike_times"][0] = 0.00123
    spikes = load_spikes(path)
    assert spikes.dt_ms is None
    assert spikes.times_ms == pytest.approx([1.23])


# ---- Damage
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path):
    spikes = ns.SpikeTrains([0.1, 0.3, 7.0], [2, 0, 2], n_units=4, duration_ms=8.0)
    return save_spikes(spikes, tmp_path / "a.nwb")


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_refused(whole, keep):
    content = whole.read_bytes()
    whole.write_bytes(
        content[: int(keep * len(content))] if isinstance(keep, float) else content[:keep]
    )
    with pytest.raises(
        ValueError, match=r"cannot read spikes from .*: it is (cut off|not an HDF5 file)"
    ):
        read(whole)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.nwb").write_text("spikes")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        read(tmp_path / "a.nwb")
    (tmp_path / "b.nwb").mkdir()
    with pytest.raises(FileNotFoundError, match="no NWB file"):
        read(tmp_path / "b.nwb")
    with pytest.raises(FileNotFoundError, match="no spike file"):
        read(tmp_path / "c.nwb")


def replace(file, name, data, **how):
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=data, **how)
    file[name].attrs.update(attributes)


DAMAGE = {
    "another schema": (lambda f: f.attrs.__delitem__("nwb_version"), "states no nwb_version"),
    "an old schema": (lambda f: f.attrs.__setitem__("nwb_version", "NWB-1.0.6"), "only NWB 2 is read"),
    "no units": (lambda f: f.__delitem__("units"), "has no table of units"),
    "no spike times": (lambda f: f.__delitem__("units/spike_times"), "have no spike_times"),
    "no index": (lambda f: f.__delitem__("units/spike_times_index"), "'spike_times_index' is missing"),
    "units that are an array": (lambda f: (f.__delitem__("units"), f.create_dataset("units", data=1)), "no table of units"),
    "an empty table": (lambda f: replace(f, "units/id", np.empty(0, int)), "table of units is empty"),
    "NaN": (lambda f: f["units/spike_times"].__setitem__(1, np.nan), "must be finite, got nan in unit 2"),
    "infinity": (lambda f: f["units/spike_times"].__setitem__(2, np.inf), "must be finite, got inf in unit 2"),
    "unsorted": (lambda f: f["units/spike_times"].__setitem__(1, 0.0075), "unit 2 are not in ascending order"),
    "a short index": (lambda f: replace(f, "units/spike_times_index", [1, 3]), "whole number for each of 4 units"),
    "a falling index": (lambda f: replace(f, "units/spike_times_index", [2, 1, 3, 3]), "does not divide"),
    "an index past the end": (lambda f: replace(f, "units/spike_times_index", [1, 1, 3, 9]), "does not divide"),
    "an index of floats": (lambda f: replace(f, "units/spike_times_index", [1.0, 1, 3, 3]), "whole number for each"),
    "times that are text": (lambda f: replace(f, "units/spike_times", [b"a", b"b", b"c"]), "spike_times are not times"),
    "intervals of one column": (lambda f: replace(f, "units/obs_intervals", np.ones((4, 1))), "obs_intervals are not times"),
    "intervals that fall": (lambda f: replace(f, "units/obs_intervals", np.tile([1.0, 0.5], (4, 1))), "start before they stop"),
    "a unit never observed": (lambda f: replace(f, "units/obs_intervals_index", [1, 1, 3, 4]), "the first is unit 1"),
    "overlapping intervals elsewhere": (
        lambda f: (
            replace(f, "units/obs_intervals", [[0, 1], [2, 4], [3, 5], [0, 1], [0, 1.0]]),
            replace(f, "units/obs_intervals_index", [1, 3, 4, 5]),
        ),
        "no time at which all 4 units",
    ),
    "no common time": (
        lambda f: replace(f, "units/obs_intervals", [[0, 1.0], [1, 2], [0, 2], [0, 2]]),
        "no time at which all 4 units",
    ),
    "times far larger than the file": (
        lambda f: replace(f, "units/spike_times", None, shape=(10**13,), dtype="f8", chunks=(10**6,)),
        r"promises 80,000,000,000,000 bytes and holds 0",
    ),
    "more units than the file": (
        lambda f: replace(f, "units/spike_times_index", None, shape=(10**13,), dtype="u8", chunks=(10**6,)),
        "promises",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_clear_sentence(whole, name):
    damage, said = DAMAGE[name]
    with h5py.File(whole, "r+") as file:
        damage(file)
    with pytest.raises(ValueError, match=said) as caught:
        read(whole)
    assert str(caught.value).startswith(f"cannot read spikes from {whole}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["units", "units/id", "units/spike_times", "units/quality"])
def test_what_is_kept_in_another_file_is_refused(whole, name):
    other = whole.with_name("other.nwb")
    with h5py.File(whole, "r+") as file, h5py.File(other, "w") as elsewhere:
        if name in file:
            file.copy(name, elsewhere, "x")
            del file[name]
        else:
            elsewhere["x"] = np.arange(4)
        file[name] = h5py.ExternalLink("other.nwb", "/x")
    with pytest.raises(
        ValueError, match=f"its '{name.split('/')[-1]}' is kept in another file, which is not read"
    ):
        read(whole)


def test_text_that_would_move_the_cursor_is_made_harmless(tmp_path):
    file = session()
    file.add_unit_column("brain_area", "x")
    file.add_unit(spike_times=[1.0], obs_intervals=[[0.0, 2.0]], brain_area="V1\x1b[2J")
    recording = read(write(file, tmp_path / "a.nwb"))
    assert list(recording.spikes.populations) == ["V1"]
