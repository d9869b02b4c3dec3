"""NIR files: there and back to the bit, Euler's rule by hand, what is lost is said, and bad files
are one sentence each.
"""

import os

import h5py
import nir
import numpy as np
import pytest
import torch
from torch import nn

from neurosparse.convert import Normalisation
from neurosparse.convert.graph import AveragePool, Conv, Linear, Spike
from neurosparse.convert.network import to_spiking
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.nir import files as nir_files
from neurosparse.convert.nir.files import FILE_DT_S, from_nir, to_nir

pytestmark = pytest.mark.usefixtures("in_this_process")

PORTABLE = NeuronSpec(kind="lif", reset="value", v_initial=0.0, tau_m_ms=20.0)
LOSSY = NeuronSpec(
    kind="lif", reset="subtract", t_ref_ms=2.0, v_initial=0.5, tau_m_ms=15.0, dt_ms=0.5
)


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 4)
    )


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(
            nn.Conv2d(2, 4, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 2, groups=2),
            nn.ReLU(),
        ),
        *(nn.Flatten(), nn.Linear(6, 3)),
    )


SYNAPSES = PORTABLE.model_copy(update={"tau_syn_ms": 5.0})


@pytest.mark.parametrize(
    "neuron",
    [PORTABLE, LOSSY, NeuronSpec(), SYNAPSES],
    ids=["portable", "lossy", "if", "synapses"],
)
@pytest.mark.parametrize(
    ("model", "shape"),
    [(chain(), (6,)), (convolutions(), (2, 8, 8))],
    ids=["linear", "convolutions"],
)
def test_there_and_back_spikes_are_the_same(neuron, model, shape, tmp_path):
    x = 2.0 * torch.rand(20, *shape, generator=torch.Generator().manual_seed(1))
    spiking = to_spiking(model, x, neuron, normalisation="maximum")
    to_nir(spiking, tmp_path / "net.nir", lossy=True)
    read = from_nir(tmp_path / "net.nir")
    assert read.neuron == neuron
    assert [layer.name for layer in read.graph.layers] == [
        layer.name for layer in spiking.graph.layers
    ]
    ours, theirs = (network.run(x, 30, record_spikes=True) for network in (spiking, read))
    assert sum(int(spikes.sum()) for spikes in ours.spikes.values()) > 100
    # the inputs' scale is in the weights now: sums may round differently
    for name, spikes in ours.spikes.items():
        assert float((spikes != theirs.spikes[name]).float().mean()) < 1e-3
    assert torch.allclose(ours.outputs, theirs.outputs, atol=0.05)


def test_without_an_input_scale_it_is_the_same_to_the_bit(tmp_path):
    x = torch.rand(20, 6, generator=torch.Generator().manual_seed(1))
    spiking = to_spiking(chain(), x / x.max(), PORTABLE)
    assert to_nir(spiking, tmp_path / "net.nir") == []
    assert torch.equal(
        from_nir(tmp_path / "net.nir").run(x, 30).outputs, spiking.run(x, 30).outputs
    )


def test_the_file_means_by_eulers_rule_what_the_network_does(tmp_path):
    """The nodes alone, metadata aside, stepped as other readers step them."""
    x = torch.rand(20, 6, generator=torch.Generator().manual_seed(1))
    spiking = to_spiking(chain(), x / x.max(), PORTABLE)
    to_nir(spiking, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    assert float(graph.metadata["dt"]) == FILE_DT_S
    assert graph.metadata["reset"] == "value"
    nodes = [node for node in graph.nodes.values() if isinstance(node, nir.Affine | nir.LIF)]
    assert [type(node) for node in nodes] == [nir.Affine, nir.LIF, nir.Affine, nir.LIF, nir.Affine]
    v: dict[int, np.ndarray] = {}
    counts = dict.fromkeys((1, 3), 0)
    for _ in range(50):
        values = x.double().numpy()
        for k, node in enumerate(nodes):
            if isinstance(node, nir.Affine):
                values = values @ node.weight.astype(float).T + node.bias
                continue
            part = FILE_DT_S / node.tau.astype(float)
            after = v.get(k, 0 * values) * (1 - part) + part * (node.v_leak + node.r * values)
            fires = after >= node.v_threshold
            v[k] = np.where(fires, node.v_reset, after)
            values = fires.astype(float)
            counts[k] = counts[k] + values
    for found, wanted in zip(
        counts.values(), spiking.run(x, 50).spike_counts.values(), strict=True
    ):
        assert np.array_equal(found, wanted.numpy())
        assert found.sum() > 100


def test_a_file_of_other_thresholds_and_resistances_runs_as_it_says(tmp_path):
    """v = v (1 - dt/tau) + dt/tau (v_leak + r I), from 0, for a file that says nothing of us."""
    rng = np.random.default_rng(0)
    weight, bias = rng.uniform(0, 2, (5, 3)), rng.uniform(0, 1, 5)
    threshold, r, leak = rng.uniform(0.5, 2, 5), rng.uniform(5, 20, 5), rng.uniform(-0.1, 0.3, 5)
    tau, dt = 5e-3, 1e-3
    lif = nir.LIF(np.full(5, tau), r, leak, threshold, v_reset=0.1 * threshold)
    graph = nir.NIRGraph.from_list(
        nir.Input({"input": np.array([3])}), nir.Affine(weight, bias), lif
    )
    nir.write(tmp_path / "theirs.nir", graph)
    read = from_nir(tmp_path / "theirs.nir", dt_s=dt)
    x = rng.uniform(0, 1, 3)
    run = read.run(torch.tensor(x[None], dtype=torch.float32), 60, record_spikes=True)
    (spikes,) = run.spikes.values()
    v = np.zeros(5)
    for t in range(60):
        v = v * (1 - dt / tau) + dt / tau * (leak + r * (weight @ x + bias))
        assert np.array_equal(spikes[t, 0].numpy(), v >= threshold)
        v = np.where(v >= threshold, 0.1 * threshold, v)
    assert torch.equal(run.outputs, run.spike_counts[read.graph.spikes[0].name] / 60)


def test_a_cubalif_node_filters_what_comes_in(tmp_path):
    """I = I (1 - dt/tau_syn) + dt/tau_syn w_in x, then v of that I, in a file not of this package."""
    rng = np.random.default_rng(1)
    weight, bias = rng.uniform(0, 2, (5, 3)), rng.uniform(0, 1, 5)
    threshold, r, w_in = rng.uniform(0.5, 2, 5), rng.uniform(5, 20, 5), rng.uniform(0.5, 1, 5)
    tau_syn, tau, dt = 4e-3, 8e-3, 1e-3
    taus, reset = (np.full(5, tau_syn), np.full(5, tau)), 0.2 * threshold
    node = nir.CubaLIF(*taus, r, np.zeros(5), threshold, v_reset=reset, w_in=w_in)
    graph = nir.NIRGraph.from_list(
        nir.Input({"input": np.array([3])}), nir.Affine(weight, bias), node
    )
    nir.write(tmp_path / "theirs.nir", graph)
    x = rng.uniform(0, 1, 3)
    read = from_nir(tmp_path / "theirs.nir", dt_s=dt)
    run = read.run(torch.tensor(x[None], dtype=torch.float32), 60, record_spikes=True)
    (spikes,) = run.spikes.values()
    v, current = np.zeros(5), np.zeros(5)
    for t in range(60):
        current += dt / tau_syn * (w_in * (weight @ x + bias) - current)
        v = v * (1 - dt / tau) + dt / tau * r * current
        assert np.array_equal(spikes[t, 0].numpy(), v >= threshold)
        v = np.where(v >= threshold, reset, v)
    assert int(spikes.sum()) > 60


def test_an_if_node_integrates_r_dt_times_its_input(tmp_path):
    node = nir.IF(np.full(2, 500.0), np.array([1.0, 2.0]))
    graph = nir.NIRGraph.from_list(nir.Input({"input": np.array([2])}), nir.Linear(np.eye(2)), node)
    nir.write(tmp_path / "if.nir", graph)
    run = from_nir(tmp_path / "if.nir", dt_s=1e-3).run(torch.tensor([[1.0, 1.0]]), 12)
    (counts,) = run.spike_counts.values()
    assert counts.tolist() == [[6, 3]]


def test_what_is_lost_is_refused_and_named(tmp_path):
    spiking = to_spiking(chain(), torch.rand(5, 6), LOSSY)
    with pytest.raises(
        ValueError, match=r"not by subtraction.*no refractory period, got t_ref_ms=2.*v_initial=0.5"
    ):
        to_nir(spiking, tmp_path / "net.nir")
    assert not (tmp_path / "net.nir").exists()
    assert len(to_nir(spiking, tmp_path / "net.nir", lossy=True)) == 3
    assert nir_files.losses(PORTABLE) == []
    assert "snnTorch lets IF neurons leak" in nir_files.losses(NeuronSpec())[0]


class Residual(nn.Module):
    """Branches over every kind of layer that is written, and a sum at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.a = nn.Conv2d(2, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.b, self.c = nn.BatchNorm2d(4), nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.norm(self.a(x)) + x)
        x = nn.functional.avg_pool2d(x, 4, padding=0).flatten(1)
        return self.b(x) + self.c(torch.relu(0.5 * x))


def row(module: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AvgPool1d(2), module, nn.ReLU(), nn.Flatten()
    )


@pytest.mark.parametrize("neuron", [PORTABLE, LOSSY], ids=["portable", "lossy"])
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("per", ["layer", "channel"])
def test_branches_there_and_back_spike_alike(neuron, scale, per, tmp_path):
    torch.manual_seed(0)
    x = scale * torch.rand(20, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    x[0] = scale
    spiking = to_spiking(
        Residual(), x, neuron, normalisation=Normalisation(method="maximum", per=per)
    )
    to_nir(spiking, tmp_path / "net.nir", lossy=True)
    read = from_nir(tmp_path / "net.nir")
    ours, theirs = (network.run(x, 40, record_spikes=True) for network in (spiking, read))
    assert list(ours.spikes) == list(theirs.spikes)
    for name, spikes in ours.spikes.items():  # sums may round differently
        assert int(spikes.sum()) > 300
        assert float((spikes != theirs.spikes[name]).float().mean()) < 1e-3
    assert torch.allclose(ours.outputs, theirs.outputs, atol=0.02 * float(ours.outputs.abs().max()))


def test_pooling_and_one_to_one_maps_are_again_what_they_were(tmp_path):
    torch.manual_seed(0)
    spiking = to_spiking(Residual(), torch.rand(5, 2, 8, 8), PORTABLE)
    assert to_nir(spiking, tmp_path / "net.nir", lossy=True) == [
        "where branches meet, norse lets one of them come a step late"
    ]
    kinds = [type(node) for node in nir.read(tmp_path / "net.nir").nodes.values()]
    # as all readers have
    assert set(kinds) == {nir.Input, nir.Conv2d, nir.LIF, nir.Flatten, nir.Affine, nir.Output}
    read = from_nir(tmp_path / "net.nir").graph
    for kind in (Linear, Conv, AveragePool, Spike):
        wanted, found = (
            [layer for layer in graph.layers if isinstance(layer, kind)]
            for graph in (spiking.graph, read)
        )
        assert [layer.shape for layer in found] == [layer.shape for layer in wanted]
    assert [
        layer.options["kernel_size"] for layer in read.layers if isinstance(layer, AveragePool)
    ] == [(4, 4)]


def test_one_dimension_is_named_as_a_loss(tmp_path):
    torch.manual_seed(0)
    spiking = to_spiking(row(nn.Conv1d(4, 4, 2, groups=2)), torch.rand(9, 2, 10), PORTABLE)
    with pytest.raises(ValueError, match="norse and snnTorch have no convolution in one dimension"):
        to_nir(spiking, tmp_path / "net.nir")
    assert len(to_nir(spiking, tmp_path / "net.nir", lossy=True)) == 1
    x = torch.rand(9, 2, 10, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        from_nir(tmp_path / "net.nir").run(x, 30).outputs, spiking.run(x, 30).outputs, atol=0.05
    )


def test_nodes_that_several_lead_to_get_the_sum(tmp_path):
    """x + 2 x + 3 x, and spikes that go on to two places: by hand, for IF neurons."""
    ones = np.ones(2)
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "two": nir.Scale(2 * ones),
        "three": nir.Linear(3 * np.eye(2)),
        "n": nir.IF(np.full(2, 1e4), 12 * ones),
        "swap": nir.Linear(np.array([[0.0, 1.0], [1.0, 0.0]])),
        "m": nir.IF(np.full(2, 1e4), ones),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "two"), ("input", "three"), ("input", "n"), ("two", "n"), ("three", "n")]
    edges += [("n", "swap"), ("swap", "m"), ("n", "m"), ("m", "output"), ("n", "output")]
    nir.write(tmp_path / "x.nir", nir.NIRGraph(nodes, edges))
    run = from_nir(tmp_path / "x.nir").run(torch.tensor([[1.0, 0.5]]), 8, record_spikes=True)
    first = run.spikes["n"][:, 0].int().tolist()  # 6 and 3 of 12 a step
    assert first == [[0, 0], [1, 0], [0, 0], [1, 1], [0, 0], [1, 0], [0, 0], [1, 1]]
    assert run.spikes["m"][:, 0].int().tolist() == [[int(any(row))] * 2 for row in first]
    assert run.outputs.tolist() == [[1.0, 0.75]]


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.a(x).relu(), self.b(x).relu()], dim=1)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("model", "shape", "match"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)),
            (1, 8, 8),
            r"'2' \(MaxPool\) has no node in NIR",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 2, padding="same"), nn.ReLU(), nn.Conv2d(2, 1, 3)),
            (1, 8, 8),
            "'0' pads one side more than the other",
        ),
        (
            nn.Sequential(
                nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2, padding=1, count_include_pad=False)
            ),
            (1, 8, 8),
            "'2' leaves its padding out of the mean",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(4, ceil_mode=True)),
            (1, 8, 8),
            r"'2' \(AveragePool\) has no node in NIR",
        ),
        (Concatenated(), (6,), r"'cat' \(Concatenate\) has no node in NIR"),
    ],
    ids=["maximum", "uneven padding", "padding left out", "ceil", "concatenation"],
)
def test_layers_without_a_node_are_refused_by_name(model, shape, match, tmp_path):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=match):
        to_nir(to_spiking(model, torch.rand(5, *shape), PORTABLE), tmp_path / "net.nir")
    assert not (tmp_path / "net.nir").exists()


def written(path, *nodes) -> None:
    nir.write(path, nir.NIRGraph.from_list(nir.Input({"input": np.array([3])}), *nodes))


AFFINE = nir.Affine(np.ones((3, 3)), np.zeros(3))
LIF = nir.LIF(np.full(3, 0.01), np.ones(3), np.zeros(3), np.ones(3))


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        ((AFFINE,), "neurons of one kind, IF, LIF or CubaLIF"),
        (
            (AFFINE, LIF, AFFINE, nir.IF(np.ones(3), np.ones(3))),
            "neurons of one kind, IF, LIF or CubaLIF",
        ),
        (
            (AFFINE, LIF, AFFINE, nir.LIF(np.full(3, 0.02), *[np.ones(3)] * 3)),
            "tau must be one for all neurons",
        ),
        (
            (AFFINE, nir.LIF(np.full(3, 1e-5), np.ones(3), np.zeros(3), np.ones(3))),
            "tau must be > dt_s=0.0001",
        ),
        ((AFFINE, nir.Threshold(np.ones(3)), AFFINE, LIF), "is a Threshold; Affine, Linear, Scale"),
        ((AFFINE, nir.CubaLIF(*[np.ones(3)] * 5), AFFINE, LIF), "neurons of one kind"),
        ((AFFINE, nir.CubaLIF(*[np.ones(3)] * 5)), "v_leak of a CubaLIF must be 0"),
        (
            (AFFINE, nir.CubaLIF(np.full(3, 1e-5), *[np.ones(3)] * 2, np.zeros(3), np.ones(3))),
            "tau_syn must be > dt_s=0.0001",
        ),
        ((nir.Affine(np.full((3, 3), np.nan), np.zeros(3)), LIF), "NaN or infinite"),
        ((AFFINE, nir.LIF(np.full(3, 0.01), np.ones(3), np.zeros(3), np.zeros(3))), "must be"),
    ],
    ids=[
        *("no neurons", "two kinds", "two taus", "fast", "unknown node", "CubaLIF and LIF", "leak"),
        *("fast synapses", "NaN", "threshold 0"),
    ],
)
def test_what_cannot_be_run_here_is_one_sentence(nodes, match, tmp_path):
    written(tmp_path / "x.nir", *nodes)
    with pytest.raises(ValueError, match=match) as error:
        from_nir(tmp_path / "x.nir")
    assert "\n" not in str(error.value)
    assert "x.nir" in str(error.value)


def test_sums_over_windows_are_read(tmp_path):
    """As a mean, times the pixels of a window."""
    shape, full = np.array([1, 4, 4]), np.full((1, 2, 2), 1.0)
    nodes = (
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.IF(full, full),
    )
    flat = (nir.Flatten({"input": np.array([1, 2, 2])}, 0, -1), nir.Affine(np.eye(4), np.zeros(4)))
    graph = nir.NIRGraph.from_list(nir.Input({"input": shape}), *nodes, *flat)
    nir.write(tmp_path / "x.nir", graph)
    spiking = from_nir(tmp_path / "x.nir")
    x = torch.rand(3, 1, 4, 4)
    found = spiking.graph[spiking.graph.spikes[0].inputs[0]]
    values = spiking.graph.values(x)
    pooled = 4 * torch.nn.functional.avg_pool2d(x, 2)
    torch.testing.assert_close(values[found.inputs[0]], pooled)


def test_loops_and_sums_that_do_not_fit_are_refused(tmp_path):
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "a": AFFINE,
        "n": LIF,
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "a"), ("a", "n"), ("n", "output")]
    nir.write(tmp_path / "x.nir", nir.NIRGraph(nodes, [*edges, ("n", "a")]))
    with pytest.raises(ValueError, match="recurrent"):
        from_nir(tmp_path / "x.nir")
    twice = {**nodes, "other": nir.Input({"input": np.array([3])})}
    nir.write(tmp_path / "x.nir", nir.NIRGraph(twice, [*edges, ("other", "n")]))
    with pytest.raises(ValueError, match="must lead from one Input to one Output, got"):
        from_nir(tmp_path / "x.nir")


def cut_off(path) -> None:
    written(path, AFFINE, LIF)
    os.truncate(path, path.stat().st_size // 2)


def huge(path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("node/weight", shape=(2**20, 2**20), dtype="f8", chunks=(1024, 1024))


def linked(path) -> None:
    with h5py.File(path, "w") as file:
        file["node"] = h5py.ExternalLink("/etc/passwd", "/")


def endless(path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("node")
        group["node"] = group


def wrong_edge(path) -> None:
    written(path, AFFINE, LIF)
    with h5py.File(path, "r+") as file:
        file["node/edges"][0] = [b"input", b"nowhere"]


def changed_tau(path) -> None:
    to_nir(to_spiking(chain(), torch.ones(5, 6), PORTABLE), path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/layer_2/tau"][...] = 0.5


def lost_metadata(path) -> None:
    to_nir(to_spiking(chain(), torch.ones(5, 6), PORTABLE), path)
    with h5py.File(path, "r+") as file:
        del file["node/metadata/neuron"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (cut_off, "it is cut off"),
        (lambda path: path.write_bytes(b"not at all"), "it is not an HDF5 file"),
        (lambda path: path.write_bytes(b""), "it is not an HDF5 file"),
        (lambda path: h5py.File(path, "w").close(), "is not a NIR file that can be read"),
        (huge, "promises 8,796,093,022,208 bytes and holds 0"),
        (linked, "it has a link, 'node', that leads elsewhere"),
        (endless, "it is nested more than 8 levels deep"),
        (wrong_edge, "is not a NIR file that can be read: ValueError"),
        (changed_tau, "its tau is not that of its metadata"),
        (lost_metadata, "cannot be run here: 'neuron'"),
    ],
    ids=[
        "cut off",
        "text",
        "empty",
        "no graph",
        "huge",
        "link",
        "endless",
        "edge",
        "tau",
        "metadata",
    ],
)
def test_bad_files_are_one_sentence(make, match, tmp_path):
    make(tmp_path / "x.nir")
    with pytest.raises(ValueError, match=match) as error:
        from_nir(tmp_path / "x.nir")
    assert "\n" not in str(error.value)
    assert "x.nir" in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ValueError, match="dt_s must be > 0, got 0"):
        from_nir(tmp_path / "none.nir", dt_s=0)
    with pytest.raises(FileNotFoundError, match="no NIR file"):
        from_nir(tmp_path / "none.nir")
