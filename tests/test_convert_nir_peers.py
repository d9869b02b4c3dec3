"""NIR files that norse, snnTorch and SpikingJelly read and write, in an environment of theirs:
equal spikes, step by step.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neurosparse.convert import NeuronSpec, from_nir, to_nir, to_spiking

ROOT = Path(__file__).parents[1]
PYTHON = Path(os.environ.get("NEUROSPARSE_PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
FRAMEWORKS = ("norse", "snntorch", "spikingjelly")
STEPS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(PYTHON.parents[1].glob("lib/*/site-packages/spikingjelly")),
        reason=(
            f"the frameworks are not beside {PYTHON}: `make bench` installs them,"
            " NEUROSPARSE_PEERS_PYTHON names others"
        ),
    ),
]


def in_framework(what: str, framework: str, path: Path, inputs: torch.Tensor) -> list[np.ndarray]:
    """The spikes of each layer, shape (steps, n, units), as another framework runs the file."""
    folder = path.parent
    np.save(folder / "inputs.npy", inputs.numpy())
    command = [PYTHON, ROOT / "benchmarks" / "nir_peers.py", what, framework, path]
    subprocess.run(
        [*command, folder / "inputs.npy", str(STEPS), folder / "spikes.npz"],
        check=True,
        capture_output=True,
    )
    with np.load(folder / "spikes.npz") as file:
        return [file[name] for name in file.files]


@pytest.fixture
def inputs():
    x = torch.rand(50, 16, generator=torch.Generator().manual_seed(0))
    return x / x.max()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_written_here_spikes_alike_there(framework, inputs, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(16, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 5)
    )
    spiking = to_spiking(model, inputs, NeuronSpec(kind="lif", reset="value", v_initial=0.0))
    assert to_nir(spiking, tmp_path / "ours.nir") == []
    ours = spiking.run(inputs, STEPS, record_spikes=True).spikes.values()
    theirs = in_framework("read", framework, tmp_path / "ours.nir", inputs)
    for mine, their in zip(ours, theirs, strict=True):
        assert int(mine.sum()) > 5000
        assert np.array_equal(mine.numpy(), their)


class Branches(nn.Module):
    """Convolutions, a residual addition, pooling, and a sum of two linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.a = (
            nn.Conv2d(2, 4, 3, padding="same"),
            nn.Conv2d(4, 4, 3, padding=1, groups=2),
        )
        self.b, self.c = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.a(x) + x)
        x = nn.functional.avg_pool2d(x, 4).flatten(1)
        x = torch.relu(self.b(x) + x)
        return self.c(x)


class Chain(Branches):
    """The same without branches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.a(torch.relu(self.first(x))))
        return self.c(torch.relu(self.b(nn.functional.avg_pool2d(x, 4).flatten(1))))


@pytest.mark.parametrize(
    ("kind", "framework"),
    [*((Chain, name) for name in FRAMEWORKS), (Branches, "snntorch"), (Branches, "spikingjelly")],
)
def test_convolutions_pooling_and_branches_spike_alike_there(kind, framework, tmp_path):
    x = torch.rand(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    x /= x.max()
    torch.manual_seed(0)
    spiking = to_spiking(kind(), x, NeuronSpec(kind="lif", reset="value", v_initial=0.0))
    lost = to_nir(spiking, tmp_path / "ours.nir", lossy=True)
    assert lost == (
        ["where branches meet, norse lets one of them come a step late"] if kind is Branches else []
    )
    ours = spiking.run(x, STEPS, record_spikes=True).spikes.values()
    theirs = in_framework("read", framework, tmp_path / "ours.nir", x)
    for mine, their in zip(ours, theirs, strict=True):
        assert int(mine.sum()) > 300
        assert np.array_equal(mine.numpy(), their)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_written_there_spikes_alike_here(framework, inputs, tmp_path):
    theirs = in_framework("write", framework, tmp_path / "theirs.nir", inputs)
    ours = from_nir(tmp_path / "theirs.nir").run(inputs, STEPS, record_spikes=True).spikes.values()
    for mine, their in zip(ours, theirs, strict=True):
        assert int(mine.sum()) > 500
        assert np.array_equal(mine.numpy(), their)


def test_branches_that_are_written_there_spike_alike_here(tmp_path):
    """SpikingJelly alone writes a sum of branches and pooling; it reads what it wrote as we do."""
    x = torch.rand(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    theirs = in_framework("write", "spikingjelly", tmp_path / "theirs.nir", x)
    ours = from_nir(tmp_path / "theirs.nir").run(x, STEPS, record_spikes=True).spikes.values()
    for mine, their in zip(ours, theirs, strict=True):
        assert int(mine.sum()) > 300
        assert np.array_equal(mine.numpy(), their)
