"""Neo: trains that Neo wrote come back with their observation; what it cannot read is one clear
sentence; pickle stays shut.
"""

import pickle
import sys

import neo
import numpy as np
import pytest
import quantities as pq

from neurosparse.recordings import MissingPackageError, read


def train(times_s, start_s, stop_s, **annotations):
    return neo.SpikeTrain(
        times_s * pq.s, t_start=start_s * pq.s, t_stop=stop_s * pq.s, **annotations
    )


def save(path, *segments):
    block = neo.Block()
    for trains in segments:
        segment = neo.Segment()
        segment.spiketrains.extend(trains)
        block.segments.append(segment)
    neo.io.NeoMatlabIO(str(path)).write_block(block)
    return path


@pytest.fixture
def trials(tmp_path):
    first = [
        train([1.0, 1.5], 0.5, 3.0, quality="good"),
        train([0.7, 2.0], 0.6, 3.5, quality="mua"),
    ]
    second = [
        train([11.0, 11.5], 10.0, 15.0, quality="good"),
        train([9.7, 12.0], 9.0, 14.0, quality="mua"),
    ]
    return save(tmp_path / "trials.mat", first, second)


pytestmark = pytest.mark.usefixtures("in_this_process")


def test_segments_are_pooled_each_an_interval_of_its_own(trials):
    recording = read(trials)
    assert recording.format == "Neo NeoMatlabIO, 2 segments"
    # common to both trains: 0.6 to 3 s, and 10 to 14 s
    assert (recording.start_s, recording.stop_s, recording.n_outside) == (0.6, 14.0, 1)
    np.testing.assert_allclose(recording.spikes.intervals, [[0, 2400.0], [9400.0, 13_400.0]])
    times = [100.0, 400.0, 900.0, 1400.0, 10_400.0, 10_900.0, 11_400.0]
    np.testing.assert_allclose(recording.spikes.times_ms, times)
    assert recording.spikes.units.tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert "upper bound" in recording.note


def test_segments_that_each_count_from_0_are_laid_end_to_end(tmp_path):
    def trial(*times):
        return [train(list(times), 0.0, 1.0), train([], 0.0, 1.0)]

    recording = read(save(tmp_path / "a.mat", trial(0.25), trial(0.5, 1.0)))
    assert recording.spikes.intervals.tolist() == [[0.0, 1000.0], [1000.0, 2000.0]]
    # a spike at t_stop belongs to the train
    np.testing.assert_allclose(recording.spikes.times_ms, [250.0, 1500.0, 2000.0], atol=2e-6)


def test_segments_of_unlike_units_are_refused_unless_one_is_asked_for(tmp_path):
    path = save(
        tmp_path / "a.mat",
        [train([0.5], 0.0, 1.0)],
        [train([2.5], 2.0, 3.0), train([2.6], 2.0, 3.0)],
    )
    with pytest.raises(ValueError, match="segments hold 1 to 2 units"):
        read(path)
    assert read(path, start_s=2.0).spikes.n_units == 2


def test_annotations_are_columns(trials):
    recording = read(trials, where=["quality=good"])
    assert recording.columns == {"quality": "good 1, mua 1"}
    assert (recording.start_s, recording.stop_s, recording.spikes.n_units) == (0.5, 15.0, 1)
    assert read(trials, populations="quality").spikes.populations == {"good": (0, 1), "mua": (1, 2)}


def test_a_part_of_an_earlier_segment_is_found(trials):
    recording = read(trials, start_s=1.0, duration_s=1.0)
    np.testing.assert_allclose(recording.spikes.times_ms, [0.0, 500.0])
    with pytest.raises(ValueError, match="not within a time"):
        read(trials, start_s=4.0, duration_s=1.0)


def test_a_lone_segment_and_a_silent_train(tmp_path):
    path = save(tmp_path / "a.mat", [train([0.25, 0.5], 0.0, 1.0), train([], 0.0, 1.0)])
    recording = read(path)
    assert recording.format == "Neo NeoMatlabIO"
    assert (recording.spikes.n_units, recording.spikes.duration_ms) == (2, 1000.0)


def test_a_format_without_an_observation_asks_for_the_duration(tmp_path):
    path = tmp_path / "trains.txt"
    path.write_text("0.1\t0.5\t0.9\n0.2\t0.4\n")
    with pytest.raises(
        ValueError,
        match=r"give duration_s \(--duration-s\); the first spike is at 0\.1 s, the last .* 0\.9 s",
    ):
        read(path, time_unit="s")
    spikes = read(path, duration_s=1.0, time_unit="s").spikes
    np.testing.assert_allclose(spikes.times_ms, [100.0, 200.0, 400.0, 500.0, 900.0])
    assert spikes.units.tolist() == [0, 1, 1, 0, 0]


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.PKL"])
def test_pickle_is_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="is a pickle, which runs code"):
        read(tmp_path / name)


def test_a_folder_of_pickles_is_not_opened_either(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileNotFoundError, match="no recording in"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xyz", "1", "no format that is read has this suffix"),
        ("a", "1", "cannot read spikes from"),
        ("a.csv", "1,2", "has no header, so that its 2 columns may be"),
        ("a.txt", "", "it holds no rows"),
        ("a.txt", "one two", "name the column of times"),
        ("a.mat", "no matrices", "it is"),
        ("a.plx", "x", "PlexonIO"),
    ],
)
def test_what_neo_cannot_read_is_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no recording in .*; it is empty"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="no spike file"):
        read(tmp_path / "a.mat")


@pytest.mark.parametrize(("module", "name"), [("neo.io", "a.plx"), ("h5py", "a.nwb")])
def test_a_missing_package_is_one_sentence_that_says_what_to_install(
    tmp_path, monkeypatch, module, name
):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    package = module.partition(".")[0]
    with pytest.raises(
        MissingPackageError, match=rf"needs {package}, .* pip install 'neurosparse\[recordings\]'"
    ):
        read(tmp_path / name)
