"""LIF-aware training: the network of rates that the recipe trains, and the spiking network that
fires at these rates.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run

from neurosparse import cli, data, recipes
from neurosparse.convert import SpikingNetwork, to_nir, verify
from neurosparse.convert.lif_network import LIFNetworkSpec, train_lif_network
from neurosparse.convert.tuning import Tuning
from neurosparse.data import Splits
from neurosparse.lif import LIF, rate

SPEC = LIFNetworkSpec(
    sizes=(784, 100, 60, 10),
    tau_m_ms=50.0,  # long, and a high scale: a spike moves a membrane by little
    scale_hz=200.0,
    tuning=Tuning(epochs=6, batch_size=20, learning_rate=1e-2),
)


@pytest.fixture(scope="module")
def few() -> Splits:
    splits = data.load("mnist5k")
    return Splits("few", splits.train.take(slice(None, None, 3)), splits.validation, splits.test)


@pytest.fixture(scope="module")
def spiking(few: Splits) -> SpikingNetwork:
    return train_lif_network(SPEC, few)


def test_the_source_is_a_network_of_the_cells_rates(spiking: SpikingNetwork, few: Splits) -> None:
    x = torch.tensor(few.test.images[:50])
    weights = {
        layer.name: (layer.weight, layer.bias)
        for layer in spiking.source.layers
        if hasattr(layer, "weight")
    }
    assert [tuple(weight.shape) for weight, _ in weights.values()] == [
        (100, 784),
        (60, 100),
        (10, 60),
    ]
    cell = LIF(
        tau_m_ms=50.0,
        resistance_MOhm=1.0,
        e_leak_mV=0.0,
        v_threshold_mV=0.0,
        v_reset_mV=-1.0,
        t_ref_ms=2.0,
    )
    values = x.double().numpy()
    for name in ("linear1", "linear2"):
        weight, bias = (tensor.double().numpy() for tensor in weights[name])
        values = rate(values @ weight.T + bias, cell) / SPEC.scale_hz
    weight, bias = (tensor.double().numpy() for tensor in weights["output"])
    assert spiking.source(x).numpy() == pytest.approx(values @ weight.T + bias, abs=1e-3)


def test_it_spikes_at_the_rates_that_were_trained(spiking: SpikingNetwork, few: Splits) -> None:
    x = torch.tensor(few.test.images[:200])
    run, values = spiking.run(x, steps=1000), spiking.source.values(x)  # half a second
    for name, most_hz, least in (("hidden1", 0.5, 0.9999), ("hidden2", 3.0, 0.999)):
        wanted_hz, found_hz = (
            SPEC.scale_hz * values[name].numpy(),
            run.spike_counts[name].numpy() / 0.5,
        )
        assert wanted_hz.mean() > 30
        assert np.abs(found_hz - wanted_hz).mean() < most_hz
        assert np.corrcoef(found_hz.ravel(), wanted_hz.ravel())[0, 1] > least


def test_spiking_costs_at_most_a_point_of_accuracy(spiking: SpikingNetwork, few: Splits) -> None:
    report = verify(spiking, few.test, steps=SPEC.steps)
    assert report.source_accuracy is not None
    assert report.source_accuracy > 0.8
    assert abs(report.curve[-1].accuracy - report.source_accuracy) <= 0.01
    assert report.curve[-1].agreement > 0.97


def test_the_same_seed_gives_the_same_network(few: Splits) -> None:
    short = SPEC.model_copy(update={"tuning": Tuning(epochs=1, seed=3)})
    x = torch.tensor(few.test.images[:5])
    first, again = (train_lif_network(short, few).source(x) for _ in range(2))
    other = train_lif_network(
        SPEC.model_copy(update={"tuning": Tuning(epochs=1, seed=4)}), few
    ).source(x)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_images_that_do_not_fit_are_refused(few: Splits) -> None:
    with pytest.raises(
        ValueError, match=r"sizes must begin with 784 and end with 10 for 'few', got \(64, 20, 10\)"
    ):
        train_lif_network(LIFNetworkSpec(sizes=(64, 20, 10)), few)


def test_the_recipe_says_where_every_value_comes_from() -> None:
    recipe = recipes.load("lif_rates")
    assert recipe.kind == "lif_network"
    dumped = recipe.spec(LIFNetworkSpec).model_dump()
    tuning = {f"tuning.{key}" for key in dumped.pop("tuning")}
    assert set(recipe.sources) == set(dumped) | tuning - {"tuning.seed"}


def test_convert_takes_the_recipe_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--set", "sizes=[784, 20, 10]", "--set", "tuning.epochs=1", "--set", "steps=20")
    assert (
        run(
            "convert",
            "lif_rates",
            "--out",
            tmp_path / "report",
            "--images",
            "20",
            "--seed",
            "5",
            *small,
        )
        == 0
    )
    splits = data.load("mnist5k")
    spec = LIFNetworkSpec(
        sizes=(784, 20, 10), steps=20, tuning=Tuning(epochs=1, learning_rate=3e-3, seed=5)
    )
    again = train_lif_network(spec, splits).report(
        splits.test.mixed().take(slice(20)), steps=20, name="lif_rates"
    )
    said = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(sentence.split()) in said for sentence in again.sentences()[:3])
    saved = json.loads((tmp_path / "report" / "conversion.json").read_text())
    assert saved["layers"] == json.loads(json.dumps(again.to_dict()))["layers"]


def test_convert_refuses_a_recipe_of_another_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", "rectifier_l1", "--out", tmp_path / "report") == cli.BAD_INPUT
    assert (
        "is of kind 'network', not 'lif_network'; use: neurosparse train rectifier_l1"
        in capsys.readouterr().err
    )


def test_a_lossy_file_of_it_reads_back(
    spiking: SpikingNetwork, few: Splits, tmp_path: Path
) -> None:
    from neurosparse.convert import from_nir

    to_nir(spiking, tmp_path / "net.nir", lossy=True)
    x = torch.tensor(few.test.images[:20])
    assert torch.equal(
        from_nir(tmp_path / "net.nir").run(x, 100).outputs, spiking.run(x, 100).outputs
    )
