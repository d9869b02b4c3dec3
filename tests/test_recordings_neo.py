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


def test_the_longest_segment_is_read_where_all_its_trains_were_observed(trials):
    recording = read(trials)
    assert recording.format == "Neo NeoMatlabIO, segment 2 of 2"
    assert (recording.start_s, recording.stop_s, recording.n_outside) == (10.0, 14.0, 1)
    np.testing.assert_allclose(recording.spikes.times_ms, [1000.0, 1500.0, 2000.0])
    assert recording.spikes.units.tolist() == [0, 0, 1]
    assert "upper bound" in recording.note


def test_annotations_are_columns(trials):
    recording = read(trials, where=["quality=good"])
    assert recording.columns == {"quality": "good 1, mua 1"}
    assert (recording.start_s, recording.stop_s, recording.spikes.n_units) == (10.0, 15.0, 1)
    assert read(trials, populations="quality").spikes.populations == {"good": (0, 1), "mua": (1, 2)}


def test_a_part_of_an_earlier_segment_is_found(trials):
    recording = read(trials, start_s=1.0, duration_s=1.0)
    assert recording.format.endswith("segment 1 of 2")
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
        read(path)
    spikes = read(path, duration_s=1.0).spikes
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
    with pytest.raises(ValueError, match="Neo reads no spike trains"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xyz", "1", "no format that Neo reads has this suffix"),
        ("a", "1", "cannot read spikes from"),
        ("a.csv", "1,2", "Neo reads no spike trains from files of this suffix"),
        ("a.txt", "", "found no spike trains"),
        ("a.txt", "one two", "could not convert"),
        ("a.mat", "no matrices", "NeoMatlabIO"),
        ("a.plx", "x", "PlexonIO"),
    ],
)
def test_what_neo_cannot_read_is_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no format that Neo reads"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="no spike file"):
        read(tmp_path / "a.mat")


@pytest.mark.parametrize(("module", "name"), [("neo.io", "a.mat"), ("h5py", "a.nwb")])
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
