"""`neurosparse measure`: what it prints fits a terminal and says what the number is; bad input is
one sentence and exit code 2.
"""

import json
import sys

import command_line
import numpy as np
import pytest

import neurosparse as ns
from neurosparse.recordings import save_spikes
from neurosparse.recordings.nwb import write_nwb


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = command_line.run("measure", *arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def spikes():
    rng = np.random.default_rng(1)
    n = 4000
    return ns.SpikeTrains(
        rng.integers(0, 100_000, n) * 0.1,
        rng.integers(0, 90, n),
        n_units=100,
        duration_ms=10_000.0,
        dt_ms=0.1,
        populations={"E": (0, 80), "quiet": (90, 100)},
    )


def test_a_recording_is_measured_with_its_windows_and_its_caution(run, spikes, tmp_path):
    code, out, err = run(
        write_nwb(spikes, tmp_path / "a.nwb", all_units=False), "--window-ms", 5, "--energy"
    )
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    assert "at least one spike in 5 ms" in words
    assert "all: 4.00 Hz" in words
    assert "active 1 % in 2.5" in words  # -ln(0.99) / 4.4 Hz, of the 90 that fire
    assert "upper bound" in words
    assert (
        "Energy by Attwell & Laughlin 2001 (rodent grey matter): spikes cost 2.84e+09 ATP/s a"
        " neuron" in words
    )
    assert "Energy by Lennie 2003" in words
    assert "Energy by Howarth, Gleeson & Attwell 2012" in words
    assert "quiet: 0.00 Hz" in words


def test_spikes_that_are_left_out_are_told_also_in_a_comparison(run, capsys, tmp_path):
    rows = "".join(f"{0.05 * k + 0.011:.4f},{k % 4}\n" for k in range(40))
    path = tmp_path / "s.csv"
    path.write_text("time_s,unit\n" + rows)
    sentence = "Left out: 20 spikes outside the time that was read."
    _, out, _ = run(path, "--duration-s", 1)
    assert out.count(sentence) == 1
    assert command_line.run("compare", path, "--duration-s", 1) == 0
    assert capsys.readouterr().out.count(f"Note on s.csv: {sentence}") == 1
    run(path, "--duration-s", 2)
    assert command_line.run("compare", path, "--duration-s", 2) == 0
    assert "Left out" not in capsys.readouterr().out


def test_a_simulation_of_all_units_is_no_upper_bound(run, spikes, tmp_path):
    for name in ("a.npz", "a.nwb"):
        code, out, _ = run(save_spikes(spikes, tmp_path / name))
        assert code == 0
        assert "upper bound" not in out


def test_the_folder_holds_numbers_page_and_provenance(run, spikes, tmp_path):
    path = save_spikes(spikes, tmp_path / "a.nwb")
    code, out, _ = run(
        path,
        "--out",
        tmp_path / "results",
        "--where",
        "population=E",
        "--start-s",
        1,
        "--duration-s",
        2,
    )
    assert code == 0
    assert "report.html" in "".join(out.split())
    saved = json.loads((tmp_path / "results" / "comparison.json").read_text())
    assert saved["provenance"]["recording"]["where"] == ["population=E"]
    assert saved["provenance"]["versions"]["neurosparse"] == ns.__version__
    assert (saved["stats"][0]["n_units"], saved["stats"][0]["duration_ms"]) == (80, 2000.0)
    assert {p.name for p in (tmp_path / "results" / "figures").iterdir()} >= {
        "raster.png",
        "rates.svg",
    }
    assert (tmp_path / "results" / "report.html").stat().st_size > 1000
    code, _, err = run(path, "--out", tmp_path)
    assert code == 2
    assert "cannot replace" in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nwb", b""),
        ("a.nwb", b"\x89HDF\r\n\x1a\n"),
        ("a.npz", b"PK"),
        ("a.pkl", b"x"),
        ("a.xyz", b"x"),
        ("a.mat", b"x"),
    ],
)
def test_bad_files_are_one_sentence_and_exit_code_2(run, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    code, out, err = run(tmp_path / name)
    assert (code, out) == (2, "")
    assert err.startswith("neurosparse: ")
    assert err.count("\n") == 1


def test_bad_options_are_one_sentence_and_exit_code_2(run, spikes, tmp_path):
    path = save_spikes(spikes, tmp_path / "a.nwb")
    for options in (
        ["--where", "quality=good"],
        ["--where", "population"],
        ["--populations", "layer"],
        ["--duration-s", "11"],
        ["--duration-s", "-1"],
        ["--start-s", "nan"],
        ["--window-ms", "0"],
        ["--window-ms", "20000"],
    ):
        code, out, err = run(path, *options)
        assert (code, out, err.count("\n")) == (2, "", 1), options
    assert run(tmp_path / "none.nwb")[0] == 2


def test_a_missing_package_is_one_sentence_and_exit_code_2(run, spikes, tmp_path, monkeypatch):
    path = save_spikes(spikes, tmp_path / "a.nwb")
    monkeypatch.setitem(sys.modules, "h5py", None)
    code, _, err = run(path)
    assert code == 2
    assert "pip install 'neurosparse[recordings]'" in err


# ---- Files of other tools
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def text(tmp_path):
    times = np.arange(400) * 0.005 + 0.001
    lines = [f"{t:.4f},{k % 4}" for k, t in enumerate(times)]
    (tmp_path / "a.csv").write_text("time,unit\n" + "\n".join(lines) + "\n")
    (tmp_path / "b.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_what_a_file_does_not_say_is_asked_for_and_told(run, text):
    for options, said in (
        ([], "--time-unit"),
        (["--time-unit", "s"], "--duration-s"),
        (["--time-unit", "h", "--duration-s", "2"], "one of s, ms"),
        (["--time-unit", "s", "--duration-s", "2", "--layout", "trains"], "--layout"),
        (["--time-unit", "s", "--duration-s", "0.0005"], "none of its 400 spikes"),
    ):
        code, out, err = run(text / "a.csv", *options)
        assert (code, out, err.count("\n")) == (2, "", 1), options
        assert said in err
    code, out, err = run(text / "a.csv", "--time-unit", "s", "--duration-s", 2, "--n-units", 8)
    assert (code, err) == (0, "")
    assert "8 units" in " ".join(out.split())
    assert "all: 25.00 Hz" in " ".join(out.split())  # 400 spikes of 8 units in 2 s
    code, _, err = run(text / "b.txt", "--time-unit", "s", "--duration-s", 2)
    assert (code, "--layout" in err) == (2, True)
    told = ["--time-unit", "s", "--duration-s", 2, "--layout", "times,units"]
    assert run(text / "b.txt", *told)[0] == 0


def test_notes_on_spikes_that_look_wrong_are_printed(run, tmp_path):
    lines = "".join(f"{k * 7}\t{k % 3}\n" for k in range(60))
    (tmp_path / "a.tsv").write_text("time_s\tunit\n" + lines)
    code, out, _ = run(tmp_path / "a.tsv", "--duration-s", 600)
    assert code == 0
    assert "All spike times are whole numbers of s; if they are samples" in " ".join(out.split())


def test_compare_takes_what_measure_takes(capsys, text, spikes):
    save_spikes(spikes, text / "c.npz")
    files = [text / "a.csv", text / "b.txt", text / "c.npz"]
    options = ["--time-unit", "s", "--layout", "times,units", "--duration-s", "2"]
    assert command_line.run("compare", *files[:1], *options[:2], *options[4:]) == 0
    assert "50.0 %" in capsys.readouterr().out
    for arguments, said in (
        ([files[2], "--time-unit", "s"], "takes --time-unit"),
        ([files[0], "--time-unit", "s"], "--duration-s"),
        (["--duration-s", "2"], "--duration-s does nothing here"),
        ([files[0], *options[:2], "--duration-s", "2", "--where", "layer=1"], "no column 'layer'"),
    ):
        assert command_line.run("compare", *arguments) == 2
        assert said in capsys.readouterr().err
    assert command_line.run("compare", files[1], files[2], *options) == 0
