"""A network of modules is the mean of them, and counts what they count."""

import pytest
import torch

from neurosparse.data import ImageSet
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, evaluate, joined


def networks(*widths: tuple[int, ...], **settings: object) -> list[RectifierNetwork]:
    specs = (NetworkSpec(sizes=(6, *hidden, 3), **settings) for hidden in widths)
    found = [RectifierNetwork(spec, seed=seed) for seed, spec in enumerate(specs)]
    with torch.no_grad():
        for network in found:  # biases begin at 0
            for linear in network.linears():
                linear.bias.normal_(generator=torch.Generator().manual_seed(1))
    return found


IMAGES = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", ["rectifier", "softplus", "tanh"])
@pytest.mark.parametrize("widths", [[(5,), (7,)], [(5, 4), (3, 9), (1, 1)], [(5, 4, 8)]])
def test_scores_are_the_mean_and_units_stand_side_by_side(widths, activation) -> None:
    modules = networks(*widths, activation=activation)
    whole, parts = (
        joined(modules).activations(IMAGES),
        [module.activations(IMAGES) for module in modules],
    )
    torch.testing.assert_close(
        whole.pop("output"), torch.stack([part.pop("output") for part in parts]).mean(dim=0)
    )
    for name, values in whole.items():
        torch.testing.assert_close(values, torch.cat([part[name] for part in parts], dim=1))


def test_activity_and_work_are_those_of_the_modules() -> None:
    modules = networks((50, 40), (30, 60))
    images = ImageSet(IMAGES.numpy(), torch.arange(40).remainder(3).numpy(), 3, (6,))
    whole, parts = (
        evaluate(joined(modules), images),
        [evaluate(module, images) for module in modules],
    )
    assert whole.active_macs == pytest.approx(sum(part.active_macs for part in parts))
    for name, layer in whole.layers.items():
        mine = [part.layers[name] for part in parts]
        assert layer.n_alive == sum(part.n_alive for part in mine)
        n_active = sum(part.active_fraction * part.n_units for part in mine)
        assert layer.active_fraction * layer.n_units == pytest.approx(n_active)


def test_modules_stay_as_they_are() -> None:
    modules = networks((5, 4), (3, 9))
    before = [module(IMAGES) for module in modules]
    with torch.no_grad():
        joined(modules).output.weight.zero_()
    for module, scores in zip(modules, before, strict=True):
        torch.testing.assert_close(module(IMAGES), scores)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([], "networks is empty"),
        (
            networks((5,)) + networks((5, 4)),
            r"must be alike .* got \(6, 5, 3\) 'rectifier' and \(6, 5, 4, 3\)",
        ),
        (networks((5,)) + networks((5,), activation="tanh"), "'rectifier' and .* 'tanh'"),
        (networks((5,), (4,), mirrored=True), "a mirrored network cannot be a module"),
    ],
)
def test_what_does_not_fit_together_is_refused(modules, message) -> None:
    with pytest.raises(ValueError, match=message):
        joined(modules)
