"""Scores on any images: they say what they hold, and an epoch has those of the validation images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurosparse.data import ImageSet, Splits
from neurosparse.rectifier import (
    NetworkSpec,
    RectifierNetwork,
    Scores,
    TrainSpec,
    evaluate,
    train,
)

SPEC = NetworkSpec(sizes=(6, 8, 5, 3))
RANDOM = np.random.default_rng(1)


def images(n: int) -> ImageSet:
    values = RANDOM.random((n, 6), dtype=np.float32)
    return ImageSet(values, RANDOM.integers(0, 3, n), n_classes=3, shape=(6,))


def test_no_field_of_scores_speaks_of_validation() -> None:
    names = {each.name for each in dataclasses.fields(Scores)}
    assert {"loss", "error", "layers", "active_macs", "dense_macs"} == names


def test_scores_are_those_of_the_definitions() -> None:
    network, shown = RectifierNetwork(SPEC, seed=1), images(50)
    scores = evaluate(network, shown)
    with torch.no_grad():
        given, labels = torch.tensor(shown.images), torch.tensor(shown.labels)
        values = network.activations(given)
        output = values.pop("output")
        assert scores.loss == pytest.approx(float(functional.cross_entropy(output, labels)))
        assert scores.error == float((output.argmax(dim=1) != labels).double().mean())
        active = torch.cat([value > 0 for value in values.values()], dim=1)
    assert scores.active_fraction == pytest.approx(float(active.float().mean()))
    assert scores.n_dead == int((~active.any(dim=0)).sum())
    assert scores.n_alive + scores.n_dead == 13
    assert f"{100 * scores.error:.2f}" in scores._repr_html_()


def test_an_epoch_has_the_scores_on_the_validation_images() -> None:
    splits = Splits("random", images(60), images(30), images(40))
    result = train(TrainSpec(network=SPEC, epochs=2, batch_size=10), splits, device="cpu")
    scores = evaluate(result.network, splits.validation)
    best = result.best
    assert (best.validation_error, best.validation_loss) == (
        scores.error,
        pytest.approx(scores.loss),
    )
    assert best.layers.keys() == scores.layers.keys()
    assert result.test_error == evaluate(result.network, splits.test).error
