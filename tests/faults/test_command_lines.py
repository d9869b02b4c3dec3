"""Command lines made at random from all commands and options, with right and wrong values: each
ends in time, in one sentence where it is refused, and leaves nothing half-made behind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import world

from neurosparse.cli.program import app

N_FAST, N_SLOW = 8, 5000
SHARE_RIGHT = 0.8  # of the values that are drawn

FILES = (
    "spikes.npz", "spikes.csv", "spikes.txt", "net.safetensors", "comparison", "images.npz",
    "inputs.npy", "models_of_mine:fits", "models_of_mine:wrong", "models_of_mine:fails",
    "models_of_mine:none", "models_of_mine", "models_of_mine:absent", "absent:model",
)  # fmt: skip
RECIPES = ("small.toml", "circuit.toml", "population.toml", "sweep.toml", "lif_rates")
DAMAGED = (
    "cut.npz", "cut.safetensors", "empty", "noise.nwb", "noise.toml", "folder", ".", "/dev/null",
    "absent", "", "a" * 300, "\udcff", "$x$", "\x1b[2J", "-", "~", "/proc/self/mem", "../here",
)  # fmt: skip
WORDS = ("", "0", "-1", "nan", "1e999", "auto", "none", "[", "a,b", "é", "\x1b[31m", "9" * 5000)
INTS = ("1", "2", "0", "-1", str(2**31), str(2**63 - 1), str(2**63), "1e3", "1.5", "x")
FLOATS = ("0.05", "1", "10", "0", "-1", "nan", "inf", "1e-300", "1e12", "1e308", "x", "0x10")
PLACES = ("out", "out/deep/x", "new.safetensors", "small.toml", "folder", "comparison", ".",
          "/dev/full", "/proc/x", "/", "", "\udcff", "a" * 300)  # fmt: skip
SETTINGS = (
    "l1=0.01", "epochs=1", "epochs=1e12", "epochs=-1", "network.sizes=[36,100000000,3]",
    "network.sizes=[]", "network.sizes=3", "batch_size=1000000000000", "learning_rate=1e30",
    "seed=9223372036854775808", "drive.rate_hz=0.001", "populations.E.size=10000000",
    "populations.E.size=0", "populations.$x$.size=3", "excitatory.size=1e9", "delay_ms=0",
    "projections.all.in_degree=1000000000", "cell.tau_m_ms=nan", "dt_ms=1e-9", "=", "a", "a=[[[",
    "network.activation=sigmoid", "lerning_rate=1", "steps=3", "title=\x1b[2J",
)  # fmt: skip

VALUES: dict[str, tuple[str, ...]] = {
    "what": (*FILES, *RECIPES, *DAMAGED), "sources": (*FILES, *DAMAGED), "recipe": RECIPES + DAMAGED,
    "spec": ("sweep.toml", "sweep.toml", *RECIPES, *DAMAGED), "folder": ("out", *DAMAGED),
    "kind": ("network", "circuit", *WORDS), "settings": SETTINGS, "file": PLACES, "nir": PLACES,
    "out": PLACES, "checkpoint": PLACES, "tensorboard": PLACES, "weights": FILES + DAMAGED,
    "data": ("images.npz", "inputs.npy", *FILES, *DAMAGED), "mask": FILES + DAMAGED,
    "data_dir": (".", "folder", *DAMAGED), "claims": ("comparison", *DAMAGED),
    "network": (*RECIPES, *DAMAGED), "circuit": (*RECIPES, *DAMAGED), "column": ("none", *RECIPES),
    "device": ("cpu", "auto", "cuda:99", *WORDS), "engine": ("kernel", "brian2", "auto", *WORDS),
    "spikes": ("npz", "nwb", *WORDS), "where": ("unit>1", "quality=good", "a==1", *WORDS),
    "input_shape": ("36", "1,6,6", "1,-1", *WORDS), "scheduler": ("tcp://127.0.0.1:1", *WORDS),
}  # fmt: skip
# right values, so that many lines come as far as the work
RIGHT: dict[str, tuple[str, ...]] = {
    "measure what": ("spikes.npz", "spikes.csv", "net.safetensors", "models_of_mine:fits"),
    "compare sources": ("spikes.npz", "comparison"), "train recipe": ("small.toml",),
    "simulate recipe": ("circuit.toml", "population.toml"), "sweep spec": ("sweep.toml",),
    "convert what": ("net.safetensors",), "convert network": ("net.safetensors",),
    "data": ("images.npz", "inputs.npy"), "out": ("out", "out/deep/x", "new.safetensors"),
    "nir": ("out.nir",), "checkpoint": ("kept.safetensors",), "tensorboard": ("events",),
    "settings": ("l1=0.01", "epochs=1"), "device": ("cpu",), "data_dir": (".",),
    "input_shape": ("36",), "seed": ("3",), "seeds": ("2",), "seconds": ("0.05",),
    "duration_s": ("1",), "window_ms": ("5",), "threshold": ("0", "0.5"), "steps": ("8", "4"),
    "images": ("10",), "batch_size": ("7",), "epochs": ("1",), "workers": ("0", "1"),
    "threads": ("1",), "network": ("small.toml",), "column": ("circuit.toml", "none"),
    "circuit": ("population.toml",), "spikes": ("npz", "nwb"), "kind": ("network",),
}  # fmt: skip
# what keeps the jobs small that would else be those of the paper
SMALL = {
    "compare": ["--circuit", "population.toml", "--column", "none", "--network", "small.toml",
                "--seconds", "0.02", "--epochs", "1"],
    "simulate": ["--seconds", "0.02"],
    "claims": ["--only", "99"],
    "convert": ["--images", "10", "--steps", "8"],
}  # fmt: skip


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command of the program, with its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = sorted(commands(typer.main.get_command(app)), key=lambda found: found[0])


def value(draw: random.Random, command: str, parameter: Any) -> str:
    """A value for a parameter, right or wrong."""
    right = RIGHT.get(f"{command} {parameter.name}", RIGHT.get(parameter.name))
    if right is not None and draw.random() < SHARE_RIGHT:
        return draw.choice(right)
    known = VALUES.get(parameter.name)
    if known is None or draw.random() < 0.05:
        known = draw.choice((INTS, FLOATS, WORDS))
    return draw.choice(known)


def line(draw: random.Random) -> list[str]:
    """A command line."""
    path, command = draw.choice(ALL)
    words, options = [*path], []
    if draw.random() < 0.02:
        return [draw.choice([*WORDS, path[0] + "x"]), *words[1:]]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            if draw.random() < 0.95:
                words.append(value(draw, path[0], parameter))
        elif draw.random() < 0.18 and parameter.name not in ("install_completion", "open_page"):
            name = draw.choice(parameter.opts)
            options += [name] if parameter.is_flag else [name, value(draw, path[0], parameter)]
    if draw.random() < 0.05:
        options += ["--debugg", "--no-such", "--", "-h"][: draw.randint(1, 4)]
    # what is given twice counts as it is given last
    return [*words, *SMALL.get(path[0], ()), *options]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Server]:
    server = world.Server(tmp_path_factory.mktemp("lines"))
    yield server
    server.end()


def tried(server: world.Server, seed: int, k: int) -> world.Tried:
    """Try line `k` of a seed."""
    words = line(random.Random(f"{seed} {k}"))
    outcome = server.ask(*words)
    codes = world.CODES_OF_RUNS if words[0] in ("sweep", "runs") else world.CODES
    found = world.faults(outcome, codes=codes)
    said, ended = outcome["err"][-600:], f"exit code {outcome['code']}"
    return world.Tried(f"{words}", found, said, outcome["cpu_s"], ended)


def check(server: world.Server, n: int, seed: int) -> None:
    wrong = [each for k in range(n) if (each := tried(server, seed, k)).faults]
    assert not wrong, wrong


def test_command_lines(server: world.Server) -> None:
    check(server, N_FAST, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 52))
def test_many_more_command_lines(server: world.Server, seed: int) -> None:
    server.compile()
    check(server, N_SLOW // 50, seed=seed)


def test_a_command_line_is_drawn_for_each_command() -> None:
    draw = random.Random(1)
    assert {tuple(line(draw)[:1]) for _ in range(400)} >= {(path[0],) for path, _ in ALL}


def test_the_files_are_right(server: world.Server, tmp_path: Path) -> None:
    for words in (
        "measure spikes.npz", "measure models_of_mine:fits --data inputs.npy", "recipes",
        "compare spikes.npz comparison", "train small.toml -o a.safetensors",
        "simulate circuit.toml --seconds 0.02", "measure spikes.csv --duration-s 1",
    ):  # fmt: skip
        outcome = server.ask(*words.split(), stop_s=world.PATIENCE_S)
        assert outcome["code"] == 0, outcome
        assert world.faults(outcome) == []
