"""Each job once, at a small scale, with nothing but the installed package: a minute or two.

    python tests/smoke.py [--circuits]

For interpreters and versions that the whole suite is not run on. `--circuits` leaves out what needs
PyTorch.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = (sys.executable, "-m", "neurosparse.cli")
NETWORK = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(784, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
"""
PYTHON = """
import numpy as np, torch
import neurosparse as ns
from neurosparse.convert import to_spiking
from neurosparse.lif import rate
import mine

assert ns.__version__ != "0+unknown"
model, images = mine.make(), torch.rand(50, 784)
(layer,) = ns.measure(model, images, active_when=ns.ActiveWhen(threshold=0)).values()
with torch.no_grad():
    assert abs(layer.active_fraction - (model[:2](images) > 0).float().mean().item()) < 1e-6
run = to_spiking(model, calibration=images, neuron="if").run(images, steps=16)
assert run.outputs.shape == (50, 10)
drive = torch.linspace(0.0, 1.0, 5, requires_grad=True)
np.testing.assert_allclose(rate(drive, ns.LIF()).detach(), rate(drive.detach().numpy(), ns.LIF()))
"""
CIRCUITS = {  # what is run -> what it must say
    "simulate cortical_population --seconds 0.2 -o population": r"all +\d",
    "simulate potjans2014 --scale 0.02 --seconds 0.2 -o column": r"all +\d",
    "measure population/spikes.npz -o measured": r"all: [\d.]+ Hz",
}
NETWORKS = {
    "train rectifier --set epochs=1 -o rectifier.safetensors": r"Test error \d",
    "measure rectifier.safetensors --data mnist5k": r"hidden1\s+(units\s+)?1,000",
    "measure mine:make --data mnist5k": r"50\s+(axis\s+)?-1\s+(samples\s+)?1,000",
    "convert rectifier.safetensors --images 20 --steps 8 -o twin": r"Report and figure",
    "compare population column rectifier.safetensors --only all -o both": r"fire in 10 ms",
    "compare --seconds 0.2 --epochs 1 --network rectifier_l1 --column none -o demo": r"Page:",
}


def main() -> None:
    circuits_alone = "--circuits" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mine.py").write_text(NETWORK)
        if not circuits_alone:
            run(folder, (sys.executable, "-c", PYTHON), "Python")
        for job, said in (CIRCUITS if circuits_alone else CIRCUITS | NETWORKS).items():
            told = run(folder, (*COMMAND, *job.split()), job)
            assert re.search(said, told), f"{job} says nothing of {said!r}:\n{told}"
            out = folder / job.split()[-1]
            if out.suffix != ".safetensors" and " -o " in job:
                assert any(path.stat().st_size > 1000 for path in out.iterdir()), job


def run(folder: Path, command: tuple[str, ...], title: str) -> str:
    """Run a command in a folder and return what it printed; end with its errors if it fails."""
    print(f"smoke: {title}", flush=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{title} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
