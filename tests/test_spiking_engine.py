"""The Brian2 engine: what it returns, what it builds, and what it leaves alone."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import brian2 as b2
import numpy as np
import pytest

from neurosparse.spiking.brian import builds, process, standalone
from neurosparse.spiking.brian.running import run

EQUATIONS = """
dv/dt = (drive - v) / tau + noise * sqrt(2 / tau) * xi : 1
drive : 1 (constant)
tau : second (shared, constant)
noise : 1 (shared, constant)
"""


def model(drive=np.linspace(0.5, 2.0, 20), noise=0.3, tau_ms=20.0):  # noqa: B008
    def make():
        cells = b2.NeuronGroup(
            20, EQUATIONS, threshold="v > 1", reset="v = 0", method="euler", name="cells"
        )
        cells.drive, cells.noise, cells.tau = drive, noise, tau_ms * b2.ms
        cells.v = "rand()"
        return (
            cells,
            b2.SpikeMonitor(cells, variables=["v"], name="spikes"),
            b2.StateMonitor(cells, "v", record=[0, 7, 19], dt=1 * b2.ms, name="trace"),
            b2.PopulationRateMonitor(cells, name="rate"),
        )

    return make


def same(one, other):
    return all(np.array_equal(one["spikes"][key], other["spikes"][key]) for key in ("t", "i"))


# ---- What it returns
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpp", "numpy"])
def test_monitors_come_back_as_arrays_in_si_units(target):
    result = run(model(), duration_ms=200.0, seed=1, target=target)
    spikes, trace, rate = result["spikes"], result["trace"], result["rate"]
    assert (result.duration_ms, result.dt_ms, result.seed, result.target) == (200.0, 0.1, 1, target)
    assert spikes["t"].size == spikes["i"].size == spikes["v"].size > 20
    assert (spikes["v"] > 1).all()
    assert 0 <= spikes["t"].min() < spikes["t"].max() < 0.2
    assert trace["v"].shape == (200, 3)
    np.testing.assert_allclose(trace["t"], np.arange(200) * 1e-3)
    assert rate["rate"].shape == (2000,)
    np.testing.assert_allclose(rate["rate"].sum() * 1e-4 * 20, spikes["t"].size)
    trains = result.spike_trains("spikes", n_units=20, populations={"E": (0, 20)})
    assert len(trains) == spikes["t"].size
    assert trains.dt_ms == 0.1
    with pytest.raises(KeyError, match="no monitor 'other'; there are: spikes, trace, rate"):
        result["other"]


def test_targets_agree_where_nothing_is_random():
    cpp, numpy = (
        run(model(noise=0.0), duration_ms=300.0, seed=1, target=target)["trace"]["v"][1:]
        for target in ("cpp", "numpy")
    )
    # only the initial potentials are random: by then the slowest cell has forgotten them
    np.testing.assert_allclose(cpp[-1, 0], numpy[-1, 0], rtol=1e-5)


@pytest.mark.parametrize("target", ["cpp", "numpy"])
def test_the_same_seed_gives_the_same_spikes_and_another_others(target):
    one = run(model(), duration_ms=100.0, seed=5, target=target)
    assert same(one, run(model(), duration_ms=100.0, seed=5, target=target))
    assert not same(one, run(model(), duration_ms=100.0, seed=6, target=target))


def test_a_longer_run_begins_as_the_shorter_one():
    short, long = (
        run(model(), duration_ms=duration, seed=2)["spikes"]["t"] for duration in (50.0, 1500.0)
    )
    assert np.array_equal(long[long < 0.05], short)
    assert long.max() > 1.49


# ---- What it builds
# --------------------------------------------------------------------------------------------------


def key_of(make, dt_ms, folder):
    standalone._generate(make, dt_ms, folder)
    return builds._key(folder, "1")


def test_numbers_arrays_and_the_step_are_data(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    first = key_of(model(), 0.1, folders[0])
    monkeypatch.setitem(b2.prefs.prefs, "codegen.target", "numpy")
    monkeypatch.setitem(b2.prefs.prefs, "codegen.cpp.include_dirs", ["elsewhere"])
    mine = b2.Network(*model()())  # a user's own objects of the same names
    mine.run(1 * b2.ms)
    assert key_of(model(drive=3.0, noise=0.1, tau_ms=5.0), 0.05, folders[1]) == first
    assert mine.objects
    other = builds._key(folders[1], "2")
    assert other != first


def test_the_code_does_not_depend_on_the_order_of_hashes(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_spiking_engine as t; "
        "print(t.key_of(t.model(), 0.1, pathlib.Path(sys.argv[2])))"
    )
    keys = set()
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / seed)]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        keys.add(done.stdout)
    assert len(keys) == 1


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(model(), duration_ms=10.0, seed=1)

    def stop(done, text):
        if done > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model(), duration_ms=5000.0, seed=1, progress=stop)
    assert not list(tmp_path.glob("neurosparse*"))


def test_what_killed_processes_left_is_removed_and_what_others_need_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]; from neurosparse.spiking import"
        " process\nwith process.scratch_folder() as folder: print(folder, flush=True);"
        " sys.stdin.read()"
    )
    owners = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    left, in_use = (Path(owner.stdout.readline().strip()) for owner in owners)
    (left / "file").write_text("x")
    (foreign := tmp_path / "neurosparse-other").mkdir()
    owners[0].kill()
    owners[0].wait()
    assert left.exists()
    with process.scratch_folder() as mine:
        assert sorted(tmp_path.iterdir()) == sorted([mine, in_use, foreign])
    owners[1].communicate("")
    assert list(tmp_path.iterdir()) == [foreign]
    for owner in owners:
        owner.stdin.close()
        owner.stdout.close()


def test_errors_of_the_block_stay_what_they_are():
    with pytest.raises(FileNotFoundError, match="of the block"), process.scratch_folder():
        raise FileNotFoundError("an error of the block itself")


def test_progress_rises_to_one():
    seen = []
    run(model(), duration_ms=100.0, seed=1, progress=lambda done, text: seen.append((done, text)))
    shares = [done for done, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 20
    assert all(len(text) <= 40 for _, text in seen)


# ---- What it leaves alone
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpp", "numpy"])
def test_a_users_own_script_is_not_disturbed(target):
    b2.defaultclock.dt = 0.25 * b2.ms
    b2.prefs.codegen.target = "numpy"
    # a name that the model has too
    group = b2.NeuronGroup(1, "dx/dt = 1/second : 1", method="euler", name="cells")
    network = b2.Network(group)
    b2.seed(7)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    device = b2.get_device()
    network.run(10 * b2.ms)
    run(model(), duration_ms=10.0, seed=1, target=target)
    try:
        assert b2.get_device() is device
        assert b2.prefs.codegen.target == "numpy"
        assert float(b2.defaultclock.dt) == 0.25e-3
        assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        network.run(10 * b2.ms)
        assert float(group.x[0]) == pytest.approx(0.02)
    finally:
        b2.defaultclock.dt = 0.1 * b2.ms
        b2.prefs.codegen.target = "auto"


def test_a_users_half_made_standalone_project_is_not_disturbed(tmp_path):
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        group = b2.NeuronGroup(3, "x : 1", name="mine")
        group.x = [1, 2, 3]
        device = b2.get_device()
        before = list(device.main_queue)
        run(model(), duration_ms=10.0, seed=1)
        assert b2.get_device() is device
        assert device.main_queue == before
    finally:
        b2.get_device().reinit()
        b2.set_device("runtime")


def test_importing_brian2_does_not_take_the_exception_hook():
    code = (
        "import sys; h = sys.excepthook; from neurosparse.spiking import engine; engine.brian2();"
        " assert sys.excepthook is h"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- When things go wrong
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"duration_ms": -1.0}, ValueError, "duration_ms must be > 0, got -1"),
        ({"duration_ms": float("nan")}, ValueError, "duration_ms must be finite"),
        (
            {"duration_ms": 0.25},
            ValueError,
            "duration_ms must be a whole multiple of dt_ms=0.1, got 0.25",
        ),
        ({"dt_ms": 0.0}, ValueError, "dt_ms must be > 0"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number"),
        ({"target": "gpu"}, ValueError, 'target must be "cpp", "numpy" or None'),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        run(model(), **{"duration_ms": 10.0, "seed": 1, **arguments})


def test_without_a_compiler_numpy_runs_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler .* NumPy"):
        result = run(model(), duration_ms=20.0, seed=1)
    assert result.target == "numpy"
    assert result["spikes"]["t"].size


def failing(script, monkeypatch, tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(builds, "executable", lambda *args, **kwargs: program)
    run(model(), duration_ms=10.0, seed=1)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo out of luck >&2; exit 7", "status 7: out of luck"),
        ("exit 3", "is the disk full"),
        ("echo Error opening static array x.", "status 0: Error opening static array x."),
        (
            "echo done 40; kill -9 $$",
            r"SIGKILL \(too little memory\?\) after step 40 of 100; .*log",
        ),
    ],
)
def test_a_simulation_that_fails_says_why(script, message, monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match=message):
        failing(script, monkeypatch, tmp_path)


def test_a_crash_leaves_a_log(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match="was ended by SIGSEGV after step 0 of 100") as raised:
        failing("echo last words; kill -SEGV $$", monkeypatch, tmp_path)
    (log,) = tmp_path.glob("*.log")
    assert str(log) in str(raised.value)
    command, end, words = log.read_text().splitlines()
    assert command.startswith(f"{tmp_path / 'program'} 100 ")
    assert (end, words) == ("ended by SIGSEGV after step 0 of 100", "last words")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_executable_ends_with_its_parent(how):
    run(model(), duration_ms=10.0, seed=1)  # so that the child has nothing to compile
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_spiking_engine as"
        " t\nt.run(t.model(), duration_ms=1e8, seed=1, progress=lambda d, w: print(w, flush=True)"
        " if 0 < d else None)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout.readline() == "simulating\n"
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(how)
    parent.wait(timeout=20)
    parent.stdout.close()
    for _ in range(100):
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX":
            return
        time.sleep(0.05)
    os.kill(int(child), signal.SIGKILL)
    pytest.fail("the executable outlived its parent")
