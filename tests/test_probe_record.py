"""The probe: equal to brute force, whatever the batches; the model is left as it was; nothing is
never measured as 0.
"""

import copy
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from neurosparse import ActiveWhen
from neurosparse.data import ImageSet
from neurosparse.probe.nonlinear import NON_LINEARITIES
from neurosparse.rectifier import NetworkSpec, RectifierNetwork, record, record_whole
from neurosparse.sparsity import describe_activations, observe

ZERO = ActiveWhen(threshold=0)


@pytest.fixture
def network() -> RectifierNetwork:
    return RectifierNetwork(NetworkSpec(sizes=(20, 16, 12, 3)), seed=4).double()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(37, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_equal_to_brute_force(network: RectifierNetwork, inputs: torch.Tensor) -> None:
    records = record(network, inputs, ZERO)
    assert list(records) == ["hidden1", "hidden2"]
    h = inputs.numpy()
    for k, (name, found) in enumerate(records.items()):
        weight, bias = (p.detach().numpy() for p in network.linears()[k].parameters())
        h = np.maximum(h @ weight.T + bias, 0)
        assert (found.name, found.n_samples) == (name, 37)
        np.testing.assert_array_equal(found.active_count, (h > 0).sum(axis=0))
        np.testing.assert_allclose(found.magnitude_sum, h.sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.square_sum, (h**2).sum(axis=0), rtol=1e-12)
        assert found.runs[1].tolist() == (h > 0).sum(axis=1).tolist()
        assert describe_activations(found).active_fraction == pytest.approx(
            (h > 0).mean(), abs=1e-15
        )


@pytest.mark.parametrize("batch_size", [1, 2, 7, 36, 37, 1000])
def test_any_batch_size_gives_the_same(
    network: RectifierNetwork, inputs: torch.Tensor, batch_size: int
) -> None:
    whole, parts = (
        record(network, inputs, ZERO, batch_size=37),
        record(network, inputs, ZERO, batch_size=batch_size),
    )
    for name, expected in whole.items():
        np.testing.assert_array_equal(parts[name].active_count, expected.active_count)
        assert parts[name].n_samples == 37
        np.testing.assert_array_equal(parts[name].runs, expected.runs)
        np.testing.assert_allclose(parts[name].magnitude_sum, expected.magnitude_sum, rtol=1e-12)
        np.testing.assert_allclose(
            parts[name].population_sums, expected.population_sums, rtol=1e-12
        )


def test_every_kind_of_data_gives_the_same(network: RectifierNetwork) -> None:
    images = torch.rand(30, 20, generator=torch.Generator().manual_seed(2))
    labels = torch.zeros(30, dtype=torch.int64)
    expected = record(network, images, ZERO, batch_size=10)["hidden2"]
    for same in (
        images.numpy(),
        ImageSet(images.numpy(), labels.numpy(), n_classes=3, shape=(20,)),
        list(images.split(10)),
        (batch.numpy() for batch in images.split(10)),
        [(batch, batch[:, 0]) for batch in images.split(10)],
        DataLoader(TensorDataset(images, labels), batch_size=10),
    ):
        whole = isinstance(same, np.ndarray | ImageSet)
        found = record(network, same, ZERO, batch_size=10 if whole else None)["hidden2"]
        np.testing.assert_array_equal(found.active_count, expected.active_count)
        np.testing.assert_array_equal(found.magnitude_sum, expected.magnitude_sum)


def test_the_threshold_counts() -> None:
    sigmoid = RectifierNetwork(NetworkSpec(sizes=(20, 50, 3), activation="sigmoid"))
    inputs = torch.randn(100, 20, generator=torch.Generator().manual_seed(0))
    assert describe_activations(record(sigmoid, inputs, ZERO)["hidden1"]).active_fraction == 1
    half = describe_activations(
        record(sigmoid, inputs, ActiveWhen(threshold=0.5))["hidden1"]
    ).active_fraction
    assert half == pytest.approx(float((sigmoid[:2](inputs) > 0.5).double().mean()), abs=1e-12)


def test_channels_of_a_convolution() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.GELU(), nn.Flatten(), nn.Linear(5 * 16, 4), nn.Tanh()
    )
    inputs = torch.rand(8, 1, 6, 6)
    records = record(model, inputs, ActiveWhen(threshold=0.1, axis=1), batch_size=3)
    assert {name: r.n_units for name, r in records.items()} == {"1": 5, "4": 4}
    maps = model[:2](inputs).detach()
    assert records["1"].n_samples == 8 * 4 * 4
    np.testing.assert_array_equal(records["1"].active_count, (maps.abs() > 0.1).sum(dim=(0, 2, 3)))


class Shared(nn.Module):
    """One ReLU that is called twice a pass, at two widths."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.relu = nn.Linear(6, 8), nn.Linear(8, 4), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.narrow(self.relu(self.wide(x))))


def test_a_module_called_twice_is_two_layers() -> None:
    records = record(Shared(), torch.rand(9, 6), ZERO, batch_size=4)
    assert {name: (r.n_units, r.n_samples) for name, r in records.items()} == {
        "relu": (8, 9),
        "relu#2": (4, 9),
    }


class Cube(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x**3


def test_named_layers_of_any_kind() -> None:
    model = nn.Sequential(nn.Linear(6, 4), Cube(), nn.ReLU())
    inputs = torch.rand(5, 6)
    assert list(record(model, inputs, ZERO)) == ["2"]
    records = record(model, inputs, ZERO, layers=["1"])
    expected = observe(model[:2](inputs).detach().numpy(), ZERO, "1")
    np.testing.assert_array_equal(records["1"].active_count, expected.active_count)


def _state(model: nn.Module) -> list:
    return [
        [module.training for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
        copy.deepcopy({k: v.tolist() for k, v in model.state_dict().items()}),
        [p.requires_grad for p in model.parameters()],
        [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
    ]


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    )
    model[3].eval()  # modules may differ in mode
    model(torch.rand(4, 6)).sum().backward()
    inputs = torch.rand(10, 6)
    copied, before = inputs.clone(), _state(model)
    record(model, inputs, ZERO, batch_size=3)
    assert _state(model) == before
    assert torch.equal(inputs, copied)

    bad = [inputs, inputs[:, :5]]  # fails in the middle
    with pytest.raises(RuntimeError):
        record(model, bad, ZERO)
    assert _state(model) == before


def test_interrupted_by_nan(network: RectifierNetwork, inputs: torch.Tensor) -> None:
    before = _state(network)
    inputs[30] = float("nan")
    with pytest.raises(ValueError, match=r"activations of 'hidden1' must be finite, got nan"):
        record(network, inputs, ZERO, batch_size=10)
    assert _state(network) == before


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        (
            nn.Linear(3, 2),
            torch.zeros(2, 3),
            {},
            (
                r"^Linear called none of torch's non-linearities, as a module or as a function,"
                r" .*layers="
            ),
        ),
        (nn.ReLU(), torch.zeros(0, 3), {}, r"^data is empty"),
        (nn.ReLU(), [], {}, r"^data is empty"),
        (nn.ReLU(), [torch.zeros(0, 3)], {}, r"^a batch is empty, shape \(0, 3\)"),
        (nn.ReLU(), torch.zeros(3), {}, r"at least 2 axes, got shape \(3,\)"),
        (
            nn.Sequential(nn.ReLU()),
            torch.zeros(2, 3),
            {"layers": ["relu"]},
            r"^no layer 'relu' in Sequential; its modules are: 0$",
        ),
        (
            nn.ReLU(),
            torch.zeros(2, 3),
            {"layers": []},
            r"^layers must be a sequence of at least one name",
        ),
        (nn.ReLU(), torch.zeros(2, 3), {"layers": "hidden1"}, r"^layers must be .* got 'hidden1'"),
        (nn.ReLU(), torch.zeros(2, 3), {"batch_size": 0}, r"^batch_size must be >= 1, got 0"),
    ],
)
def test_nothing_to_measure_is_an_error(
    model: nn.Module, data, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        record(model, data, ZERO, **options)


def test_an_activation_that_is_never_called_is_named_and_the_others_are_recorded() -> None:
    model, inputs = Shared(), torch.rand(3, 6)
    expected = record(model, inputs, ZERO)
    model.unused, model.more = nn.Tanh(), nn.Sequential(nn.ReLU())
    with pytest.warns(UserWarning, match=r"^activations that .* no activity: unused, more\.0$"):
        found = record(model, inputs, ZERO)
    assert list(found) == list(expected) == ["relu", "relu#2"]
    for name, layer in expected.items():
        np.testing.assert_array_equal(found[name].active_count, layer.active_count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(record(model, inputs, ZERO, layers=["relu"])) == ["relu", "relu#2"]


def test_a_layer_that_was_asked_for_and_never_fires_is_an_error() -> None:
    model = Shared()
    model.unused = nn.Tanh()
    with pytest.raises(
        ValueError, match=r"^layer 'unused' was not called in the forward pass.*layers="
    ):
        record(model, torch.rand(3, 6), ZERO, layers=["relu", "unused"])


class ByHand(nn.Module):
    """A rectifier by hand that is not counted."""

    def __init__(self, rectify: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.rectify = nn.Linear(6, 16), rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rectify(self.a(x))


def is_positive(z: torch.Tensor) -> torch.Tensor:
    return (z > 0).to(z.dtype)


@pytest.mark.parametrize(
    ("function", "rectify"),
    {
        "add": lambda z: (z + z.abs()) / 2,
        "minimum": lambda z: z - torch.minimum(z, torch.zeros(())),
        "clamp": lambda z: -(-z).clamp(max=0),
        "einsum": lambda z: torch.einsum("bi,bi->bi", z, is_positive(z)),
        "addcmul": lambda z: torch.addcmul(torch.zeros(()), z, is_positive(z)),
        "lerp": lambda z: torch.lerp(torch.zeros_like(z), z, is_positive(z)),
    }.items(),
)
def test_where_nothing_is_counted_exact_zeros_are_named(
    function: str, rectify: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    torch.manual_seed(1)
    model, inputs = ByHand(rectify), torch.randn(30, 6)
    assert torch.equal(model(inputs), torch.relu(model.a(inputs)))
    named = rf"^ByHand called none .* not counted: {function} \(\d+ %\)\); name modules"
    with pytest.raises(ValueError, match=named):
        record(model, inputs, ZERO)


@pytest.mark.parametrize("kind", NON_LINEARITIES)
def test_every_non_linearity_of_torch_is_recorded(kind: type[nn.Module]) -> None:
    options = {nn.Threshold: (0.1, 0.0)}.get(kind, ())
    module = kind(*options)
    inputs = torch.linspace(-3, 3, 24).reshape(4, 6)
    found = record(nn.Sequential(module), inputs, ZERO)["0"]
    expected = observe(module.eval()(inputs).detach().numpy(), ZERO, "0")
    np.testing.assert_array_equal(found.active_count, expected.active_count)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_of_the_units_that_is_asked_for_is_the_one_that_is_recorded(axis: int) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(5, 6, 4)
    expected = (inputs > 0).movedim(axis, -1).flatten(0, -2).sum(0)
    found = record(nn.ReLU(), inputs, ZERO, units_axis=axis)["relu"]
    assert found.active_when.axis in (axis, axis - 3)
    np.testing.assert_array_equal(found.active_count, expected)


def test_a_window_is_no_definition_for_activations() -> None:
    with pytest.raises(ValueError, match="activations need a threshold"):
        record(nn.ReLU(), torch.zeros(2, 3), ActiveWhen(window_ms=10))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(torch.zeros(3, 2)), r"wrap it: DataLoader"),
        (7, r"must be a tensor, .* got int"),
        ([{"input": [0.0]}], r"a batch must be .* got list"),
        ([3.0, 4.0], r"a batch must be .* got float"),
    ],
)
def test_data_of_another_kind(data, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        record(nn.ReLU(), data, ZERO)


# ---- All layers as one
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 10, 1000])
def test_the_whole_is_all_units_side_by_side(
    network: RectifierNetwork, inputs: torch.Tensor, batch_size: int
) -> None:
    whole = record_whole(network, inputs, ZERO, name="net", batch_size=batch_size)
    values = network.activations(inputs)
    values.pop("output")
    expected = observe(torch.cat(list(values.values()), dim=1).detach().numpy(), ZERO, "net")
    assert (whole.name, whole.n_units, whole.n_samples) == ("net", 28, 37)
    np.testing.assert_array_equal(whole.active_count, expected.active_count)
    np.testing.assert_array_equal(whole.runs, expected.runs)
    np.testing.assert_allclose(whole.population_sums, expected.population_sums, rtol=1e-12)
    parts = record(network, inputs, ZERO, batch_size=batch_size)
    np.testing.assert_array_equal(
        whole.active_count, np.concatenate([p.active_count for p in parts.values()])
    )


def test_maps_do_not_stand_side_by_side() -> None:
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU())
    with pytest.raises(
        ValueError,
        match=r"layer '1' puts out shape \(2, 5, 4, 4\) with units along axis 1: .*one by one",
    ):
        record_whole(model, torch.rand(2, 1, 6, 6), ActiveWhen(threshold=0, axis=1))


def test_work_in_place_after_a_layer_does_not_change_its_record() -> None:
    model = nn.Sequential(nn.Tanh(), nn.ReLU(inplace=True))
    inputs = torch.tensor([[-1.0, 2.0, -3.0]], dtype=torch.float64)
    assert record(model, inputs, ZERO)["0"].active_count.tolist() == [1, 1, 1]
    assert record(model, inputs, ZERO)["1"].active_count.tolist() == [0, 1, 0]
