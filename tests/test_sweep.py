"""Sweeps: what is asked for is run once, equals what one run alone gives, and goes on after
whatever happened.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosparse import cli, rectifier, store, sweep
from neurosparse._internal.workers import WorkerError, pool
from neurosparse.data import load as load_images
from neurosparse.sweep import runs

RECIPE = """
kind = "network"
title = "Small"
data = "{data}"
epochs = 3
learning_rate = 0.1
network.sizes = [36, 12, 8, 3]
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe of a small network on small images of three kinds."""
    folder = tmp_path_factory.mktemp("recipe")
    generator = np.random.default_rng(1)
    labels = np.arange(300) % 3
    images = np.clip(
        generator.random((3, 36))[labels] + 0.3 * generator.standard_normal((300, 36)), 0, 1
    )
    np.savez(folder / "images.npz", x=images.astype(np.float32), y=labels)
    path = folder / "small.toml"
    path.write_text(RECIPE.format(data=folder / "images.npz"))
    return path


@pytest.fixture(scope="module")
def spec(recipe):
    return sweep.SweepSpec(kind="train", recipe=str(recipe), grid={"l1": (0.0, 0.01)}, seeds=(1, 2))


@pytest.fixture(scope="module")
def undisturbed(spec, tmp_path_factory):
    """The folder of a sweep that nothing happened to, and what it returned."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, sweep.run(spec, folder, workers=0)


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A copy of that folder, to be harmed."""
    shutil.copytree(undisturbed[0], tmp_path / "copy")
    return tmp_path / "copy"


# ---- What is asked for
# --------------------------------------------------------------------------------------------------


def test_points_are_every_combination_with_every_seed():
    spec = sweep.SweepSpec(
        kind="train",
        recipe="rectifier",
        grid={
            "l1": {"low": 0.0, "high": 0.01, "n": 3},
            "network": {"activation": ("rectifier", "tanh")},
        },
        seeds=(4, 5),
    )
    points = list(spec.points())
    assert spec.n_runs == len(points) == 12
    assert points[0] == ({"l1": 0.0, "network.activation": "rectifier"}, 4)
    assert [point["l1"] for point, _ in points[::4]] == [0.0, 0.005, 0.01]
    assert points[-1] == ({"l1": 0.01, "network.activation": "tanh"}, 5)


def test_each_point_can_have_a_seed_of_its_own():
    grid = {"l1": {"low": 1e-4, "high": 1e-2, "n": 3, "scale": "log"}}
    points = list(
        sweep.SweepSpec(kind="train", recipe="rectifier", grid=grid, seeds="each").points()
    )
    assert [seed for _, seed in points] == [0, 1, 2]
    assert [point["l1"] for point, _ in points] == pytest.approx([1e-4, 1e-3, 1e-2])


@given(st.integers(1, 50), st.integers(0, 9), st.floats(1e-6, 1.0), st.floats(1.1, 1e6))
def test_draws_lie_in_their_range_and_are_the_same_every_time(n, seed, low, ratio):
    values = {
        "a": {"low": low, "high": low * ratio, "scale": "log"},
        "b": (1, 2, 3),
        "c": {"low": -ratio, "high": low},
    }
    spec = sweep.SweepSpec(
        kind="train", recipe="x", random={"n": n, "seed": seed, "values": values}
    )
    points = [point for point, _ in spec.points()]
    assert points == [point for point, _ in spec.points()]
    assert len(points) == spec.n_runs == n
    for point in points:
        assert low * (1 - 1e-9) <= point["a"] <= low * ratio * (1 + 1e-9)
        assert point["b"] in (1, 2, 3)
        assert -ratio <= point["c"] <= low


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grid": {"l1": {"low": 0, "high": 1}}}, "grid.l1 needs n"),
        ({"grid": {"l1": {"low": 1, "high": 1, "n": 3}}}, "high must be > low=1, got 1"),
        ({"grid": {"l1": {"low": 0, "high": 1, "n": 3, "scale": "log"}}}, "low must be > 0"),
        ({"grid": {"l1": ()}}, "grid.l1"),
        ({"grid": {"seed": (1, 2)}}, "'seed' must stand once"),
        ({"grid": {"l1": (1,)}, "settings": {"l1": 2}}, "'l1' must stand once"),
        (
            {
                "grid": {
                    "a": {"low": 0, "high": 1, "n": 2000},
                    "b": {"low": 0, "high": 1, "n": 2000},
                }
            },
            "at most 1,000,000",
        ),
        ({"seeds": (-1,)}, "seeds"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"speed": 1}, "unknown key 'speed'"),
        ({"kind": "cook"}, "kind"),
    ],
)
def test_what_makes_no_sweep_is_refused(tmp_path, values, message):
    from neurosparse import recipes

    with pytest.raises(ValueError, match=message):
        recipes.build(
            sweep.SweepSpec, {"kind": "train", "recipe": "rectifier", **values}, what="sweep"
        )


def test_a_sweep_is_read_from_toml_with_a_recipe_beside_it(recipe, tmp_path):
    file = recipe.parent / "l1.toml"
    file.write_text(
        'kind = "train"\ntitle = "L1"\nrecipe = "small.toml"\nseeds = [3]\ngrid.l1 = { value ='
        ' [0.0, 0.1], source = "here", note = "two of them" }\nsettings.network.mirrored ='
        ' true\n[sources]\nhere = "this test"\n'
    )
    spec = sweep.load(file)
    assert (spec.kind, spec.title, spec.recipe) == ("train", "L1", str(recipe))
    assert spec.grid == {"l1": (0.0, 0.1)}
    assert spec.settings == {"network.mirrored": True}
    assert len(sweep.plan(spec, tmp_path)) == 2
    with pytest.raises(FileNotFoundError):
        sweep.load(tmp_path / "none.toml")


def test_figure_3_comes_along(tmp_path):
    tasks = sweep.plan(sweep.load("figure3"), tmp_path)
    assert np.allclose(
        [task.spec["training"]["l1"] for task in tasks], np.linspace(0, 0.01, 200), atol=1e-12
    )
    assert [task.spec["training"]["seed"] for task in tasks] == list(range(200))
    assert {task.spec["training"]["epochs"] for task in tasks} == {30}
    assert len(sweep.plan(sweep.load("figure3_quick"), tmp_path)) == 40


def test_what_no_run_can_do_is_refused_before_anything_is_run(spec, tmp_path):
    for wrong, message in (
        ({"grid": {"l2": (1,)}}, "unknown key 'l2'"),
        ({"grid": {"l1": (0.1, -0.1)}}, "l1"),
        ({"recipe": "brunel2000_ai"}, 'one of kind "network" is needed'),
        ({"kind": "simulate"}, 'one of kind "circuit" or "population" is needed'),
    ):
        with pytest.raises(ValueError, match=message):
            sweep.run(spec.model_copy(update=wrong), tmp_path / "out", workers=0)
    with pytest.raises(ValueError, match="workers >= 1"):
        sweep.run(spec.model_copy(update={"timeout_s": 1.0}), tmp_path / "out", workers=0)


# ---- What is run
# --------------------------------------------------------------------------------------------------


def test_a_run_is_what_training_alone_gives(undisturbed, recipe):
    folder, result = undisturbed
    assert result.lines() == ["4 of 4 runs are complete, 0 of them from before."]
    assert [(row["l1"], row["seed"]) for row in result.rows] == [
        (0.0, 1),
        (0.0, 2),
        (0.01, 1),
        (0.01, 2),
    ]
    row = result.rows[2]
    alone = rectifier.TrainSpec(
        data=str(recipe.parent / "images.npz"),
        epochs=3,
        learning_rate=0.1,
        l1=0.01,
        seed=1,
        network=rectifier.NetworkSpec(sizes=(36, 12, 8, 3)),
    )
    expected = rectifier.train(alone, device="cpu")
    assert row["test_error"] == expected.test_error
    assert row["validation_loss"] == expected.best.validation_loss
    weights = rectifier.load(folder / "runs" / row["run"] / "weights.safetensors")
    for name, value in expected.network.state_dict().items():
        assert np.array_equal(weights.state_dict()[name], value)
    test = load_images(alone.data).test
    assert row["test_nll"] == rectifier.evaluate(weights, test).loss
    images = test.images
    active = np.concatenate([np.asarray(a) for a in _activations(weights, images)], axis=1) != 0
    assert row["active_fraction"] == pytest.approx(active.mean(), abs=1e-9)
    table = pq.read_table(folder / "table.parquet").to_pylist()
    assert table == list(result.rows)


def _activations(network, images):
    import torch

    with torch.no_grad():
        values = network.activations(torch.tensor(images))
    return [values[name].numpy() for name in network.layers]


def test_what_is_complete_is_left_alone(undisturbed, spec):
    folder, result = undisturbed
    before = {path: path.stat().st_ino for path in folder.rglob("runs/*/*")}
    again = sweep.run(spec, folder, workers=0)
    assert (again.n_before, again.rows) == (4, result.rows)
    assert before == {path: path.stat().st_ino for path in folder.rglob("runs/*/*")}
    more = sweep.run(spec.model_copy(update={"seeds": (2, 3)}), folder, workers=0)
    assert more.n_before == 2
    assert more.rows[0] == result.rows[1]


def test_processes_give_the_same_table(undisturbed, spec, tmp_path):
    told = []
    result = sweep.run(
        spec, tmp_path, workers=2, progress=lambda done, text: told.append((done, text))
    )
    assert result.rows == undisturbed[1].rows
    assert told[-1] == (1.0, "4 done, 0 failed")
    assert any(text.startswith("1 done, 2 running, 0 failed, ") for _, text in told)


def test_damage_of_any_file_is_mended(undisturbed, spec, copy):
    first, second, third, _ = (copy / "runs" / row["run"] for row in undisturbed[1].rows)
    os.truncate(first / "manifest.json", 0)
    os.truncate(second / "weights.safetensors", 100)
    weights = third / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 4
    weights.write_bytes(content)
    os.truncate(copy / "table.parquet", 3)
    result = sweep.run(spec, copy, workers=0)
    assert result.n_before == 1
    assert result.rows == undisturbed[1].rows
    assert pq.read_table(copy / "table.parquet").to_pylist() == list(result.rows)
    assert len(list((copy / "quarantine").glob("*.reason.txt"))) == 3
    assert store.verify(copy) == {}


@pytest.mark.parametrize("harm", ["none", "cut off", "flipped", "emptied"])
def test_a_training_goes_on_from_its_checkpoint_to_the_same_result(
    undisturbed, spec, tmp_path, harm
):
    task = sweep.plan(spec, tmp_path)[0]
    store.open_directory(tmp_path)
    stopped = []

    def stop(done, text):
        if "epoch 3" in text:
            stopped.append(text)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.perform(task, stop)
    checkpoint = tmp_path / "partial" / task.key / "checkpoint.safetensors"
    assert stopped
    if harm == "cut off":
        os.truncate(checkpoint, 1000)
    elif harm == "emptied":
        os.truncate(checkpoint, 0)
    elif harm == "flipped":
        content = bytearray(checkpoint.read_bytes())
        content[-50] ^= 1
        checkpoint.write_bytes(content)
    epochs = []
    assert runs.perform(task, lambda done, text: epochs.append(text)) == "complete"
    assert any("epoch 1/" in text for text in epochs) == (harm != "none")
    assert store.read(tmp_path, task.key).rows[0] == {
        name: value
        for name, value in undisturbed[1].rows[0].items()
        if name not in ("run", "l1", "seed")
    }
    assert not (tmp_path / "partial" / task.key).exists()
    assert len(list((tmp_path / "quarantine").glob("checkpoint*.reason.txt"))) == (harm != "none")


def test_errors_are_kept_counted_and_tried_again_when_asked(spec, tmp_path):
    wrong = spec.model_copy(update={"grid": {"learning_rate": (0.1, 1e30)}, "seeds": (1, 2)})
    result = sweep.run(wrong, tmp_path, workers=0)
    assert len(result.rows) == len(result.failures) == 2
    assert result.lines()[0] == "2 of 4 runs are complete, 0 of them from before."
    assert "2 failed: DivergenceError: training diverged" in "\n".join(result.lines())
    assert "Traceback" in result.failures[0].details
    notes = {path: path.stat().st_mtime_ns for path in (tmp_path / "failed").iterdir()}
    assert len(sweep.run(wrong, tmp_path, workers=0).failures) == 2
    assert notes == {path: path.stat().st_mtime_ns for path in (tmp_path / "failed").iterdir()}
    again = sweep.run(wrong, tmp_path, workers=0, retry_failed=True)
    assert len(again.failures) == 2
    assert notes != {path: path.stat().st_mtime_ns for path in (tmp_path / "failed").iterdir()}


def test_simulations_are_swept_too(tmp_path):
    spec = sweep.SweepSpec(
        kind="simulate",
        recipe="brunel2000_ai",
        settings={"seconds": 0.05, "scale": 0.02, "engine": "kernel"},
        grid={"window_ms": (5.0, 10.0)},
    )
    with pytest.warns(UserWarning, match="scale"):
        result = sweep.run(spec, tmp_path, workers=0)
    assert {row["population"] for row in result.rows} >= {"all"}
    narrow, wide = (row for row in result.rows if row["population"] == "all")
    assert narrow["rate_hz"] == wide["rate_hz"]
    assert 0 < narrow["active_fraction"] < wide["active_fraction"]
    assert (tmp_path / "runs" / wide["run"] / "spikes.npz").exists()


def test_conversions_are_swept_and_share_their_network(recipe, tmp_path):
    spec = sweep.SweepSpec(
        kind="convert",
        recipe=str(recipe),
        settings={"normalisation": {"method": "maximum"}},
        grid={"neuron.v_initial": (0.0, 0.5), "steps": (4, 32)},
    )
    result = sweep.run(spec, tmp_path, workers=0)
    assert result.failures == ()
    kinds = [run.kind for _, run in store.runs(tmp_path)]
    assert (kinds.count("train"), kinds.count("convert")) == (1, 4)
    last = [row for row in result.rows if row["after_steps"] == row["steps"] == 32]
    assert [row["neuron.v_initial"] for row in last] == [0.0, 0.5]
    assert all(row["agreement"] > 0.9 for row in last)
    assert sweep.run(spec, tmp_path, workers=0).rows == result.rows
    with pytest.raises(ValueError, match="steps"):
        sweep.plan(spec.model_copy(update={"grid": {"steps": (0,)}}), tmp_path)


def test_a_run_of_other_code_is_refused(spec, tmp_path):
    from dataclasses import replace

    task = sweep.plan(spec, tmp_path)[0]
    with pytest.raises(ValueError, match="other code"):
        runs.perform(replace(task, code="0" * 16), lambda done, text: None)


# ---- The pool
# --------------------------------------------------------------------------------------------------


def work(task, progress):
    progress(0.5, "half")
    what, number = task
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(600)
    if what == "eat":
        return len(bytearray(number))
    if what == "refuse":
        raise ValueError("no")
    if what == "crash":
        raise KeyError("a bug")
    if what == "pid":
        return os.getpid()
    return os.environ.get("COLOUR")


def test_a_pool_keeps_its_processes_and_replaces_those_that_die():
    tasks, told = deque([("pid", 0), ("pid", 1), ("die", 0), ("pid", 2)]), []
    ended = list(pool(work, tasks, 1, tell=lambda *message: told.append(message)))
    assert [end.death for end in ended] == [
        "",
        "",
        "the process died (SIGKILL: out of memory?)",
        "",
    ]
    assert ended[0].result == ended[1].result != ended[3].result
    assert (("pid", 0), 0.5, "half") in told


def test_a_pool_ends_what_takes_too_long_and_what_takes_too_much():
    tasks = deque([("hang", 0), ("colour", 0)])
    hung, colour = pool(
        work, tasks, 1, tell=quiet, timeout_s=3.0, environment=lambda k: {"COLOUR": f"blue{k}"}
    )
    assert hung.too_long
    assert hung.death == "it took longer than timeout_s = 3"
    assert colour.result == "blue0"
    assert "COLOUR" not in os.environ
    (starved,) = pool(work, deque([("eat", 2**31)]), 1, tell=quiet, memory_mb=500.0)
    assert starved.death == "it ran out of memory"


def test_a_pool_raises_what_its_work_raises_and_holds_back_where_there_is_no_room():
    with pytest.raises(ValueError, match=r"^no$"):
        list(pool(work, deque([("refuse", 0)]), 1, tell=quiet))
    with pytest.raises(WorkerError, match="a bug"):
        list(pool(work, deque([("crash", 0)]), 1, tell=quiet))
    ended = list(
        pool(
            work,
            deque([("pid", k) for k in range(4)]),
            4,
            tell=quiet,
            has_room=lambda n_busy: False,
        )
    )
    assert len({end.result for end in ended}) == 1


def quiet(*_):
    pass


# ---- The commands
# --------------------------------------------------------------------------------------------------


def test_the_commands(recipe, tmp_path, capsys, monkeypatch):
    file = tmp_path / "l1.toml"
    text = f'kind = "train"\nrecipe = "{recipe}"\ngrid.learning_rate = [0.1, 1e30]\n'
    file.write_text(text)
    out = tmp_path / "out"

    def neurosparse(*arguments):
        monkeypatch.setattr(sys, "argv", ["neurosparse", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code or 0, capsys.readouterr()
        return 0, capsys.readouterr()

    status, said = neurosparse("sweep", file, "-o", out, "--workers", 0)
    assert status == 1
    assert "1 of 2 runs are complete" in said.out
    status, said = neurosparse("runs", "list", out)
    assert status == 0
    assert "1 complete, 1 failed, 0 damaged" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines() if "failed:" not in line)
    key = next((out / "runs").iterdir()).name
    status, said = neurosparse("runs", "show", out, key[:6])
    assert json.loads(said.out.partition("\nFiles")[0])["key"] == key
    failed = next((out / "failed").iterdir()).stem
    status, said = neurosparse("runs", "show", out, failed)
    assert "DivergenceError" in said.out
    status, said = neurosparse("runs", "export", out, tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text().count("\n") == 2
    os.truncate(out / "runs" / key / "weights.safetensors", 0)
    status, said = neurosparse("runs", "verify", out)
    assert status == 1
    assert "weights.safetensors is not as it was written" in said.out
    status, said = neurosparse("runs", "export", out, tmp_path / "all.csv")
    assert status == 2
    assert "holds no complete run" in said.err


def test_ctrl_c_keeps_what_is_complete_and_leaves_no_process(recipe, tmp_path):
    file = tmp_path / "long.toml"
    file.write_text(f'kind = "train"\nrecipe = "{recipe}"\ngrid.epochs = [1, 100000]\n')
    command = [
        sys.executable,
        "-m",
        "neurosparse.cli",
        "sweep",
        str(file),
        "-o",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    driver = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120

    def under_way() -> bool:
        """Return whether one run is complete and the other, not its remains, has a checkpoint."""
        done = [path.name for path in (tmp_path / "out").glob("runs/*")]
        kept = (tmp_path / "out").glob("partial/*/checkpoint.safetensors")
        left = [path.parent.name for path in kept]
        return bool(done) and any(not d.startswith(name) for name in left for d in done)

    while not under_way():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1
    # nobody holds a lock, and the stopped run can be taken up
    assert not list((tmp_path / "out" / "locks").iterdir())
    (left,) = (tmp_path / "out" / "partial").iterdir()
    with store.claim(tmp_path / "out", left.name) as claim:
        assert claim is not None
