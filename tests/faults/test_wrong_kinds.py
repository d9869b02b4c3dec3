"""An object of the wrong kind is refused in one sentence, by every public callable."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import neurosparse as ns
from neurosparse import convert, lif, plots, rectifier, sparsity, store
from neurosparse._internal import checks
from neurosparse.activity import ActivityStats
from neurosparse.convert.tuning import Tuning
from neurosparse.data import ImageSet

WRONG: dict[str, Callable[[], object]] = {
    "object": object,
    "a number": lambda: 3,
    "a text": lambda: "x",
    "None": lambda: None,
    "a list": lambda: [object()],
    "a module": lambda: nn.Linear(2, 2),
}
FROM_WITHIN = re.compile(
    "object has no attribute|not subscriptable|not iterable|unsupported operand|has no len|"
    "not supported between|ambiguous|unhashable|not callable|must be real number|expected str|"
    "not an iterator|JSON serializable"
)
SAYS_WHAT = re.compile(r"\b(must|takes?|needs?|give|pass|there are|no|cannot|such as|are kept)\b")

RIGHT = {  # a text is what these take, and they would act on it
    "neurosparse.claims.run",
    "neurosparse.claims.register",
    "neurosparse.data.register",
    "neurosparse.sweep.register",
}


def public() -> dict[str, Callable[..., object]]:
    """Return every public callable that needs an argument, by its first name."""
    homes = [ns] + [
        importlib.import_module(found.name)
        for found in pkgutil.iter_modules(ns.__path__, "neurosparse.")
        if not found.name.rpartition(".")[2].startswith("_")
    ]
    doors: dict[Any, str] = {}
    for home in homes:
        for name in getattr(home, "__all__", ()):
            door = getattr(home, name)
            own_error = isinstance(door, type) and issubclass(door, BaseException)
            if callable(door) and not own_error and needed(door):
                doors.setdefault(door, f"{home.__name__}.{name}")
    return {name: door for door, name in doors.items()}


def needed(door: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(door).parameters.values()
    except ValueError:
        return []
    loose = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [p for p in parameters if p.default is p.empty and p.kind not in loose]


DOORS = public()


def call(door: Callable[..., object], **given: object) -> None:
    """Call, and begin what is returned where it waits to be begun."""
    positional = [
        given.pop(p.name) for p in needed(door) if p.kind is not p.KEYWORD_ONLY and p.name in given
    ]
    result = door(*positional, **given)
    if isinstance(result, contextlib.AbstractContextManager) and hasattr(result, "gen"):
        result = result.gen
    if inspect.isgenerator(result):
        next(result, None)


def refusals(door: Callable[..., object], **given: object) -> Iterator[str]:
    """Yield the sentence that a call is refused with; nothing where it is not refused."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            call(door, **given)
    except (TypeError, ValueError, OSError) as error:
        yield str(error)


def judge(sentence: str, door: Callable[..., object]) -> None:
    names = [re.escape(name) for name in inspect.signature(door).parameters]
    assert not FROM_WITHIN.search(sentence), sentence
    assert re.search(rf"\b({'|'.join(names)})\b", sentence) or SAYS_WHAT.search(sentence), sentence
    assert "\n" not in sentence


SPIKES = ns.SpikeTrains([1.0, 6.0, 8.0], [0, 1, 1], n_units=4, duration_ms=10.0, dt_ms=1.0)
IN_WINDOWS, ABOVE_0 = ns.ActiveWhen(window_ms=2.0), ns.ActiveWhen(threshold=0)
RECORDED = sparsity.observe(np.eye(4), ABOVE_0)
MODEL = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
X = torch.linspace(0, 1, 12).reshape(3, 4)
SPIKING = convert.to_spiking(MODEL, X)
NETWORK = rectifier.RectifierNetwork(rectifier.NetworkSpec(sizes=(4, 6, 2)))
KINDS_OF = {  # what the needed parameters of these names take
    "activations": RECORDED,
    "active_when": ABOVE_0,
    "bin_ms": 2.0,
    "calibration": X,
    "circuit": ns.measure(SPIKES, active_when=IN_WINDOWS),
    "current_nA": 0.3,
    "currents_nA": [0.1, 0.3],
    "data": X,
    "factors": [1.0, 2.0],
    "fraction": 0.04,
    "fractions": [0.01],
    "images": ImageSet(np.zeros((3, 4)), np.zeros(3, int), 2, (4,)),
    "inputs": X,
    "labels": [0, 1, 1],
    "levels": 4,
    "lif": ns.LIF(),
    "mean_mV": 1.0,
    "model": MODEL,
    "network": NETWORK,
    "other": ns.measure(SPIKES, active_when=IN_WINDOWS),
    "rate_hz": 5.0,
    "rates_hz": [1.0, 2.0],
    "seed": 1,
    "sigma_mV": 1.0,
    "spikes": SPIKES,
    "spiking": SPIKING,
    "stats": ns.measure(SPIKES, active_when=IN_WINDOWS),
    "window_ms": 2.0,
    "windows_ms": [2.0],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", DOORS)
def test_every_needed_argument_of_the_wrong_kind(name: str) -> None:
    door = DOORS[name]
    for kind, wrong in WRONG.items():
        if kind == "a text" and name in RIGHT:
            continue
        for sentence in refusals(door, **{p.name: wrong() for p in needed(door)}):
            judge(sentence, door)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, door in DOORS.items()
        if len(needed(door)) > 1 and {p.name for p in needed(door)} <= set(KINDS_OF)
    ],
)
def test_one_argument_of_the_wrong_kind_beside_right_ones(name: str) -> None:
    door = DOORS[name]
    right = {p.name: KINDS_OF[p.name] for p in needed(door)}
    for parameter in right:
        for kind, wrong in WRONG.items():
            if (parameter, kind) != ("model", "a module"):  # which is right
                for sentence in refusals(door, **right | {parameter: wrong()}):
                    judge(sentence, door)


LOADER = DataLoader(TensorDataset(X, torch.zeros(3)), batch_size=2)
ONE = "make one by to_spiking(model, inputs)"


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (
            lambda: convert.to_rate(MODEL),
            f"spiking must be a SpikingNetwork, got a Sequential: {ONE}",
        ),
        (
            lambda: convert.verify(convert.to_rate(SPIKING), X),
            f"spiking must be a SpikingNetwork, got a RateNetwork: {ONE}",
        ),
        (
            lambda: convert.to_rate(SPIKING, variant="x"),
            "variant must be one of exact, soft, siegert, got 'x'",
        ),
        (
            lambda: convert.to_spiking(nn.ReLU, X),
            "model must be a torch module, got the class ReLU: call it",
        ),
        (
            lambda: convert.to_spiking(MODEL, LOADER),
            "calibration must be a tensor, an array or an ImageSet, got a DataLoader: give a batch"
            " of it: next(iter(loader))[0]",
        ),
        (
            lambda: convert.tune(MODEL, X, [0.0, 1.0, 1.0]),
            "labels must be 3 whole numbers, one an input, got shape (3,) of float64",
        ),
        (
            lambda: sparsity.isi_cv([1.0, 2.0]),
            "spikes must be a SpikeTrains, got a list: make them by neurosparse.as_spikes",
        ),
        (
            lambda: rectifier.train("rectifier"),
            "spec must be a TrainSpec, got a string: make one, TrainSpec(...), or take a recipe's:"
            " recipes.load(name).spec(TrainSpec)",
        ),
        (
            lambda: rectifier.train(rectifier.TrainSpec),
            "spec must be a TrainSpec, got the class TrainSpec: call it",
        ),
        (
            lambda: lif.rate(0.3, 20.0),
            "lif must be a LIF, got a float: make one: neurosparse.LIF()",
        ),
        (
            lambda: lif.rate("x", ns.LIF()),
            "current_nA must be a number, an array or a tensor of numbers, got a string",
        ),
        (lambda: store.existing(3), "directory must be a path, got an int"),
        (
            lambda: ns.watch(LOADER),
            "model must be a torch module, got a DataLoader: give the module itself",
        ),
        (
            lambda: plots.layers(3),
            "plots take what neurosparse.measure or neurosparse.compare returned, got an int:"
            " measure it first",
        ),
    ],
)
def test_the_sentence(act: Callable[[], object], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        act()
    assert str(caught.value) == sentence


def test_arrays_serve_where_tensors_do() -> None:
    by_tensor, by_array = (convert.quantise(MODEL, x, 4) for x in (X, X.numpy()))
    assert torch.equal(by_tensor(X), by_array(X))
    labels = np.array([0, 1, 1], np.int32)
    tuned = [
        convert.tune(by_tensor, images, classes, Tuning(epochs=1))
        for images, classes in ((X, torch.from_numpy(labels).long()), (X.double().numpy(), labels))
    ]
    assert torch.equal(tuned[0](X), tuned[1](X))


@pytest.mark.parametrize("value", [ActivityStats, SPIKES, np.zeros(2), None])
def test_what_was_given_is_named(value: object) -> None:
    found = checks.kind_of(value)
    assert found in {"the class ActivityStats", "a SpikeTrains", "an ndarray", "None"}
    with pytest.raises(TypeError, match=rf"^x must be an int or a string, got {found}$"):
        checks.instance("x", value, (int, str))


def test_several_of_a_kind() -> None:
    assert checks.instances("x", iter("ab"), str) == ["a", "b"]
    for wrong, sentence in (
        ("ab", "x must be a list, each a string, got a string: r"),
        ([1], r"x\[0\] must be a string, got an int: r"),
        (3, "x must be a list, each a string, got an int: r"),
    ):
        with pytest.raises(TypeError, match=f"^{sentence}$"):
            checks.instances("x", wrong, str, "r")


def test_paths(tmp_path) -> None:
    assert checks.path("path", str(tmp_path)) == checks.path("path", tmp_path) == tmp_path
    for wrong in (3, None, b"x", [tmp_path]):
        with pytest.raises(TypeError, match=r"^path must be a path, got "):
            checks.path("path", wrong)
