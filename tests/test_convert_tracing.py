"""Tracing: the graph computes what the model computes, the model is left as it was, and what cannot
be converted is listed.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosparse.convert.graph import Add, Conv, Graph, Linear, MaxPool, Spike
from neurosparse.convert.tracing import ConversionError, trace
from neurosparse.rectifier import NetworkSpec, RectifierNetwork

Body = Callable[[nn.Module, Tensor], Tensor]


class Net(nn.Module):
    """A model whose forward pass is a function of its own: what people write."""

    def __init__(self, body: Body, **modules: nn.Module) -> None:
        super().__init__()
        self.body = body
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


class Standardised(nn.Module):
    """A model that brings the mean and deviation of its inputs, and learned factors."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.1, 0.2, 0.3])[None, :, None, None])
        self.log_scale = nn.Parameter(torch.tensor(0.3))
        self.shift = nn.Parameter(torch.rand(4, 5))
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv((x - self.mean) / self.deviation) * self.log_scale.exp()
        return (h + self.shift).relu()


class Asserting(nn.Module):
    """A model that looks at shapes before and while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 4
        assert x.shape[1] == 3, "three channels"
        assert not x.size(2) < 3
        h = self.conv(x).relu()
        if h.shape[-1] > 2:
            h = 2 * h
        return h


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64 with biases and batch statistics that are not 0 and 1; in training
    mode.
    """
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.uniform_(-2, 2)
                module.bias.data.normal_()
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.bias is not None:
            module.bias.data.normal_()
    return model.double().train()


def traced(model: nn.Module, *shape: int) -> tuple[Graph, Tensor, Tensor]:
    """The graph, inputs, and the model's outputs for them in evaluation mode."""
    inputs = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    graph = trace(model, inputs)
    with torch.no_grad():
        return graph, inputs, copy.deepcopy(model).eval()(inputs)


def head(n: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(n, 3))


def conv1d(**options) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 6, 3, **options), nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )


def conv2d(*options, **named) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 6, *options, **named),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(2),
    )


def materialised(model: nn.Module, *shape: int) -> nn.Module:
    model.eval()(torch.zeros(2, *shape))
    return model


def flat(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), *layers, nn.Linear(8, 3))


MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "a plain sequential": (flat(nn.ReLU()), (4,)),
    "no biases": (
        nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)),
        (4,),
    ),
    "batch norm after linear": (flat(nn.BatchNorm1d(8), nn.ReLU()), (4,)),
    "batch norm without weights": (flat(nn.BatchNorm1d(8, affine=False), nn.ReLU()), (4,)),
    "batch norm after relu": (flat(nn.ReLU(), nn.BatchNorm1d(8)), (4,)),
    "batch norm first": (nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), head(18)), (2, 3, 3)),
    "dropout and identity": (flat(nn.Dropout(0.5), nn.ReLU(), nn.Identity()), (4,)),
    "nested sequentials": (
        nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU())), nn.Linear(8, 3)),
        (4,),
    ),
    "a rectifier at the end": (nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,)),
    "conv1d with a stride": (materialised(conv1d(stride=2, padding=1), 4, 9), (4, 9)),
    "conv1d, dilated, in groups": (
        materialised(conv1d(dilation=2, groups=2, padding="same"), 4, 9),
        (4, 9),
    ),
    "conv2d": (materialised(conv2d(3), 4, 5, 6), (4, 5, 6)),
    "conv2d, everything": (
        materialised(
            conv2d((3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False),
            4,
            7,
            6,
        ),
        (4, 7, 6),
    ),
    "average pooling": (
        nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 2, 1, ceil_mode=True), head(32)),
        (2, 6, 6),
    ),
    "average pooling of rows": (nn.Sequential(nn.ReLU(), nn.AvgPool1d(2), head(6)), (2, 6)),
    "maximum pooling": (nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1), head(18)), (2, 6, 6)),
    "maximum pooling before relu": (
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2), nn.ReLU(), head(18)),
        (2, 6, 6),
    ),
    "maximum pooling of rows": (
        nn.Sequential(nn.ReLU(), nn.MaxPool1d(2, dilation=2), head(4)),
        (2, 6),
    ),
    "adaptive pooling to 1": (
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), head(2)),
        (2, 6, 4),
    ),
    "adaptive pooling to a divisor": (
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d((3, 2)), head(12)),
        (2, 6, 4),
    ),
    "images made of rows": (
        nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 2, 2), nn.ReLU(), head(4)),
        (6,),
    ),
    "a mirrored network": (RectifierNetwork(NetworkSpec(sizes=(4, 8, 5, 3), mirrored=True)), (4,)),
    "a mirrored network inside": (
        nn.Sequential(RectifierNetwork(NetworkSpec(sizes=(4, 8, 3), mirrored=True))),
        (4,),
    ),
    "a linear layer at the root": (nn.Sequential(nn.ReLU()), (4,)),
    "torch.relu": (
        Net(lambda m, x: m.b(torch.relu(m.a(x))), a=nn.Linear(4, 8), b=nn.Linear(8, 3)),
        (4,),
    ),
    "functional relu": (
        Net(
            lambda m, x: m.b(functional.relu(m.a(x), inplace=True)),
            a=nn.Linear(4, 8),
            b=nn.Linear(8, 3),
        ),
        (4,),
    ),
    "relu as a method": (
        Net(lambda m, x: m.b(m.a(x).relu_()), a=nn.Linear(4, 8), b=nn.Linear(8, 3)),
        (4,),
    ),
    "one module called twice": (
        Net(lambda m, x: m.r(m.a(m.r(m.a(x)))), a=nn.Linear(4, 4), r=nn.ReLU()),
        (4,),
    ),
    "view with the batch size": (
        Net(
            lambda m, x: m.b(
                functional.avg_pool2d(m.a(x).relu(), x.size(2) // 2).view(x.size(0), -1)
            ),
            a=nn.Conv2d(1, 2, 1),
            b=nn.Linear(8, 3),
        ),
        (1, 4, 4),
    ),
    "the mean over an image": (
        Net(lambda m, x: m.a(x.relu().mean((2, 3))), a=nn.Linear(2, 3)),
        (2, 4, 5),
    ),
    "functional pooling": (
        Net(
            lambda m, x: m.a(
                functional.adaptive_avg_pool2d(
                    functional.max_pool2d(x.relu(), 2, stride=1), 1
                ).flatten(1)
            ),
            a=nn.Linear(2, 3),
        ),
        (2, 4, 5),
    ),
    "functional dropout": (
        Net(lambda m, x: functional.dropout(m.a(x).relu(), 0.5, m.training), a=nn.Linear(4, 3)),
        (4,),
    ),
    "a residual addition": (
        Net(
            lambda m, x: m.out((m.bn(m.b(h := m.a(x).relu())) + h).relu().flatten(1)),
            a=nn.Conv2d(2, 4, 3, padding=1),
            b=nn.Conv2d(4, 4, 3, padding=1, bias=False),
            bn=nn.BatchNorm2d(4),
            out=nn.Linear(36, 3),
        ),
        (2, 3, 3),
    ),
    "branches of one layer": (
        Net(lambda m, x: m.b((h := m.a(x)).relu()) + m.b(h), a=nn.Linear(4, 8), b=nn.Linear(8, 3)),
        (4,),
    ),
    "batch norm on a branch": (
        Net(
            lambda m, x: (m.bn(h := m.a(x)).relu() + h).relu(),
            a=nn.Linear(4, 8),
            bn=nn.BatchNorm1d(8),
        ),
        (4,),
    ),
    "concatenation": (
        Net(
            lambda m, x: m.c(torch.cat([m.a(x).relu(), m.b(x).relu(), x], dim=1)),
            a=nn.Linear(4, 8),
            b=nn.Linear(4, 2),
            c=nn.Linear(14, 3),
        ),
        (4,),
    ),
    "a ceiling": (
        nn.Sequential(nn.Linear(4, 8), nn.ReLU6(), nn.Linear(8, 6), nn.Hardtanh(0, 0.5)),
        (4,),
    ),
    "clamps": (
        Net(
            lambda m, x: torch.cat(
                [
                    x.clamp(min=0),
                    x.clamp(0, 0.5),
                    torch.clip(x, 0.0, max=0.25),
                    torch.clamp_min(x, 0),
                    functional.relu6(9 * x),
                    functional.hardtanh(x, 0.0, 0.75),
                ],
                1,
            )
        ),
        (4,),
    ),
    "padding around an image": (
        Net(
            lambda m, x: m.a(functional.pad(m.z(x.relu()), (1, -1, 2, 0))),
            z=nn.ZeroPad2d((2, 0, 0, 1)),
            a=nn.Flatten(),
        ),
        (2, 4, 5),
    ),
    "chunks": (
        Net(
            lambda m, x: (
                (p := m.a(x).chunk(3, 1))[0].relu()
                - p[2]
                + torch.split(m.a(x), [2, 4], dim=1)[0].relu()
            ),
            a=nn.Conv2d(2, 6, 3),
        ),
        (2, 4, 5),
    ),
    "upsampling": (
        Net(
            lambda m, x: m.b(functional.interpolate(m.u(x.relu()), scale_factor=2)),
            u=nn.Upsample(size=(6, 5), mode="bilinear", align_corners=True),
            b=nn.Conv2d(2, 3, 3),
        ),
        (2, 4, 3),
    ),
    "a transposed convolution": (
        nn.Sequential(
            nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), groups=2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 2, 3, 1, 2, dilation=2, bias=False),
        ),
        (4, 5, 3),
    ),
    "a transposed convolution in one dimension": (
        nn.Sequential(nn.ConvTranspose1d(2, 3, 4, 2, 1), nn.ReLU()),
        (2, 5),
    ),
    "mean, deviation and factors of the model": (Standardised(), (3, 4, 5)),
    "a parameter of another layer": (
        Net(lambda m, x: x.relu() * m.l.weight[0], l=nn.Linear(4, 4)),
        (4,),
    ),
    "assertions on shapes": (Asserting(), (3, 4, 5)),
    "factors and differences": (
        Net(
            lambda m, x: (
                torch.add(m.a(x).relu() / 4, m.b((x - 0.5) * 2).relu(), alpha=0.3)
                - (1 - x)
                - 0.1 * m.a(x)
            ),
            a=nn.Linear(4, 4),
            b=nn.Linear(4, 4),
        ),
        (4,),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_computes_what_the_model_computes(name: str) -> None:
    model, shape = MODELS[name]
    graph, inputs, expected = traced(shaken(copy.deepcopy(model)), *shape)
    torch.testing.assert_close(graph(inputs), expected, rtol=1e-9, atol=1e-9)
    for layer, value in zip(graph.layers, graph.values(inputs).values(), strict=True):
        assert tuple(value.shape[1:]) == layer.shape, layer.name


def test_batch_norm_goes_into_the_weights_before_it() -> None:
    convolutional = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2, 2),
    )
    graph, _, _ = traced(shaken(convolutional), 1, 4, 4)
    assert [(layer.name, type(layer)) for layer in graph.layers[1:4]] == [
        ("0", Conv),
        ("2", Spike),
        ("3", MaxPool),
    ]
    graph, _, _ = traced(shaken(copy.deepcopy(MODELS["batch norm on a branch"][0])), 4)
    assert [type(layer) for layer in graph.layers[1:3]] == [
        Linear,
        Add,
    ]  # another branch takes the linear layer as it is


def test_the_model_is_left_as_it_was() -> None:
    model = shaken(copy.deepcopy(MODELS["a residual addition"][0]))
    model.bn.eval()  # frozen by itself
    before, modes = (
        copy.deepcopy(model.state_dict()),
        [module.training for module in model.modules()],
    )
    tensors = {name: id(value) for name, value in model.state_dict(keep_vars=True).items()}
    graph, inputs, expected = traced(model, 2, 3, 3)
    assert modes == [module.training for module in model.modules()]
    assert {name: id(value) for name, value in model.state_dict(keep_vars=True).items()} == tensors
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    with torch.no_grad():
        model.a.weight.zero_()  # and the graph does not follow it
    torch.testing.assert_close(graph(inputs), expected)


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), *layers)


def with_nan() -> nn.Module:
    model = sequential(nn.Linear(4, 2))
    model[2].weight.data[0, 1] = float("nan")
    return model


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "smooth": (sequential(nn.GELU()), "2: GELU is not a rectifier; train the model with nn.ReLU"),
    "smooth function": (Net(lambda m, x: torch.tanh(x.relu())), "tanh: tanh is not a rectifier"),
    "recurrent": (sequential(nn.LSTM(4, 3)), "2: LSTM is recurrent"),
    "attention": (
        Net(lambda m, x: m.r(x @ x.T), r=nn.ReLU()),
        "matmul: the function matmul cannot be converted",
    ),
    "softmax": (sequential(nn.Softmax(1)), "2: Softmax is no layer of rectifiers; leave it out"),
    "layer norm": (sequential(nn.LayerNorm(4)), "2: LayerNorm normalises each sample"),
    "batch statistics": (
        sequential(nn.BatchNorm1d(4, track_running_stats=False)),
        "2: it has no running statistics",
    ),
    "unknown": (
        nn.Sequential(nn.Unflatten(1, (2, 2)), nn.ReLU(), nn.PixelShuffle(1)),
        "2: PixelShuffle cannot be converted",
    ),
    "padding": (
        Net(
            lambda m, x: m.c(x[:, None]).relu(),
            c=nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular"),
        ),
        "c: it pads with padding_mode='circular'",
    ),
    "linear on sequences": (
        nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 2), nn.ReLU()),
        "1: its inputs have shape (2, 2)",
    ),
    "product": (Net(lambda m, x: x.relu() * x), "mul: it multiplies or divides two"),
    "broadcast": (Net(lambda m, x: x.relu() + x[:, :1]), "getitem"),
    "a free parameter": (
        Net(lambda m, x: x.relu() * m.l.weight[:, None], l=nn.Linear(4, 4)),
        "mul: it takes a tensor of shape (4, 1, 4)",
    ),
    "clamped elsewhere": (
        Net(lambda m, x: x.clamp(-1, 1)),
        "clamp: it clamps to -1 at least and 1 at most; clamp with min=0",
    ),
    "padded with ones": (
        Net(lambda m, x: functional.pad(x[:, None].relu(), (1, 1), value=1.0)),
        "getitem",
    ),
    "reflected": (
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.ReLU(), nn.ConstantPad1d(1, 2.0)),
        "2: it pads with values other than 0; pad with zeros",
    ),
    "bicubic": (
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.ReLU(), nn.Upsample(4, mode="bicubic")),
        "2: it interpolates by mode='bicubic'",
    ),
    "weights of nan": (
        with_nan(),
        "2: its weights are NaN or infinite; train or load the model again",
    ),
    "no rectifier": (nn.Linear(4, 2), "it has no rectifier"),
    "a branch on values": (
        Net(lambda m, x: x.relu() if x.sum() > 0 else x),
        "torch.fx cannot trace it",
    ),
    "two outputs": (
        Net(lambda m, x: (x.relu(), x)),
        "the output: it is a tuple; let the model return one tensor",
    ),
    "mixed samples": (Net(lambda m, x: x.relu().reshape(-1, 2)), "it mixes the samples of a batch"),
    "chance": (Net(lambda m, x: functional.dropout(x.relu(), 0.5, True)), "gives other outputs"),
    "values changed in place": (
        Net(lambda m, x: (h := m.a(x)).relu_() + h, a=nn.Linear(4, 4)),
        "gives other outputs",
    ),
    "indices": (
        Net(lambda m, x: functional.max_pool1d(x[:, None].relu(), 2, return_indices=True)[0]),
        "getitem",
    ),
    "uneven pooling": (
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.ReLU(), nn.AdaptiveAvgPool1d(3)),
        "use a divisor of the size",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused(name: str) -> None:
    model, words = REFUSED[name]
    samples = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    with pytest.raises(ConversionError) as error:
        trace(model, samples)
    assert words in str(error.value)
    assert str(error.value).startswith(f"cannot convert {type(model).__name__}: ")


def test_every_problem_is_listed() -> None:
    model = nn.Sequential(
        nn.Linear(4, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 4), nn.Softmax(1)
    )
    with pytest.raises(ConversionError) as error:
        trace(model, torch.rand(3, 4))
    assert [problem.layer for problem in error.value.problems] == ["1", "2", "4"]
    assert str(error.value).count("\n") == 3


def test_a_model_that_does_not_run_on_the_inputs_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Sequential does not run on inputs of shape \(n, 5\): with n"
    ):
        trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.rand(3, 5))


class Fails(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize("error", [AssertionError("of 40"), KeyError("a"), SystemExit(3)])
def test_whatever_a_model_raises_is_one_sentence(error: BaseException) -> None:
    said = rf"^Fails does not run on .* \(n, 5\): with n = 3, {type(error).__name__}: "
    with pytest.raises(ValueError, match=said):
        trace(Fails(error), torch.rand(3, 5))


def test_one_sample_is_enough() -> None:
    model, shape = MODELS["a residual addition"]
    assert trace(shaken(copy.deepcopy(model)), torch.rand(1, *shape, dtype=torch.float64)).layers[
        -1
    ].shape == (3,)
