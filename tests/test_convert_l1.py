"""From the penalty to the spikes: the chain on a small network, its table, its figures; and the
Python of the converters' page.
"""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from neurosparse import data, plots
from neurosparse.convert import l1
from neurosparse.rectifier import NetworkSpec, TrainSpec

mpl.use("Agg")
SPEC = TrainSpec(network=NetworkSpec(sizes=(784, 60, 60, 10)), epochs=2, learning_rate=0.1)
PAGE = Path(__file__).parents[1] / "docs" / "converters.md"


@pytest.fixture(scope="module")
def few():
    splits = data.load("mnist5k")
    return type(splits)(
        "few", splits.train.take(slice(0, 1500)), splits.validation, splits.test.take(slice(0, 200))
    )


@pytest.fixture(scope="module")
def reports(few):
    return l1.l1_to_spikes((0.0, 1e-2), SPEC, few, steps=16)


def test_scales_are_taken_from_images_of_all_classes(few, monkeypatch):
    """The digits stand class after class: the first thousand are of three classes alone."""

    def looked_at(_, calibration, neuron):
        raise LookupError(*np.unique(calibration.labels))

    monkeypatch.setattr(l1, "to_spiking", looked_at)
    with pytest.raises(LookupError) as seen:
        l1.l1_to_spikes((0.0,), SPEC, few)
    assert seen.value.args == tuple(np.unique(few.train.labels))
    assert len(np.unique(few.train.labels[: l1.N_CALIBRATION])) < len(seen.value.args)


def test_a_stronger_penalty_means_fewer_active_units_spikes_and_operations(reports):
    weak, strong = reports.values()
    assert strong.source.active_fraction < 0.8 * weak.source.active_fraction
    assert strong.spikes < 0.8 * weak.spikes
    assert strong.operations.synaptic < 0.8 * weak.operations.synaptic
    assert strong.operations.dense == weak.operations.dense == 784 * 60 + 60 * 60 + 60 * 10


def test_its_table_fits_a_terminal(reports):
    lines = l1.table(reports).splitlines()
    assert len(lines) == 2 + 2
    assert max(map(len, lines)) <= 80


def test_its_figures_show_every_strength(reports):
    texts = [text.get_text() for text in plots.l1_to_spikes(reports).texts]
    assert [text.split(":")[0] for text in texts] == ["L1 0", "L1 0.01"]
    axes = plots.conversion(list(reports.values()))
    curve = reports[0.0].curve
    lost = [100 * (reports[0.0].source_accuracy - at.accuracy) for at in curve]
    assert axes.lines[0].get_ydata() == pytest.approx(lost)


@pytest.mark.parametrize("strengths", [(), (0.0, 0.0)])
def test_no_strengths_or_the_same_twice_are_refused(strengths):
    with pytest.raises(ValueError, match="one or more different numbers"):
        l1.l1_to_spikes(strengths)


@pytest.mark.slow
def test_the_python_of_the_page_runs_as_it_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(compile(block, "converters.md", "exec"), namespace)
    assert (tmp_path / "results" / "conversion.json").exists()
