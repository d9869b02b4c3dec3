"""From the penalty to the spikes.

How L1 strength, active units, spikes of an inference and accuracy go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neurosparse import data, recipes
from neurosparse.convert.network import to_spiking
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.report import ConversionReport
from neurosparse.convert.verification import verify
from neurosparse.data import Splits
from neurosparse.data.images import check_splits
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.rectifier import TrainSpec, train

STRENGTHS = (0.0, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3)
N_CALIBRATION = 1000


def l1_to_spikes(
    strengths: Sequence[float] = STRENGTHS,
    spec: TrainSpec | None = None,
    splits: Splits | None = None,
    *,
    neuron: NeuronSpec | str = "if",
    steps: int = 64,
    progress: Progress = quiet,
) -> dict[float, ConversionReport]:
    """Train a network for each strength of the L1 penalty, convert it, and report.

    The report is on the test images.

    Parameters
    ----------
    strengths
        Values of `TrainSpec.l1`, each once.
    spec
        How to train; by default the recipe rectifier_l1.
    splits
        The images; by default the set that the spec names.
    neuron
        As for `to_spiking`, which is given a thousand training images, of all classes.
    steps
        Of an inference.
    progress
        Told the share that is done, and what is done now.

    Returns
    -------
    dict
        Strength -> report, in the order given.

    Raises
    ------
    ValueError
        For no strengths, and as `train`, `to_spiking` and `verify` do.
    """
    if not strengths or len(set(strengths)) < len(strengths):
        raise ValueError(f"strengths must be one or more different numbers, got {tuple(strengths)}")
    spec = recipes.load("rectifier_l1").spec(TrainSpec) if spec is None else spec
    specs = [
        recipes.build(TrainSpec, {**spec.model_dump(), "l1": l1}, what=f"l1={l1}")
        for l1 in strengths
    ]
    splits = data.load(spec.data) if splits is None else splits
    check_splits(splits)
    calibration = splits.train.mixed().take(slice(N_CALIBRATION))
    reports = {}
    for k, one in enumerate(specs):
        of_one = part_of(progress, k / len(specs), (k + 1) / len(specs), f"L1 {one.l1:g}")
        network = train(one, splits, device="cpu", test=False, progress=of_one).network
        spiking = to_spiking(network, calibration, neuron)
        reports[one.l1] = verify(spiking, splits.test, steps=steps, name=f"L1 {one.l1:g}")
    return reports


def table(reports: Mapping[float, ConversionReport]) -> str:
    """Format a row for each strength, of at most 80 columns."""
    lines = [
        (
            f"{'':>8}{'error %':>14}{'active % of units':>22}{'spikes':>9}{'millions of operations':>25}"  # noqa: E501
        ),
        (
            f"{'L1':>8}{'source':>7}{'spikes':>7}{'source':>8}{'a step':>7}{'in all':>7}{'':>9}{'dense':>9}{'active':>8}{'spikes':>8}"  # noqa: E501
        ),
    ]
    for l1, report in reports.items():
        source, spiking = (
            100 * (1 - (share or 0.0))
            for share in (report.source_accuracy, report.curve[-1].accuracy)
        )
        per_step = report.spikes / (report.steps * report.n_units)
        lines.append(
            f"{l1:>8g}{source:>7.1f}{spiking:>7.1f}{100 * report.source.active_fraction:>8.1f}{100 * per_step:>7.2f}"  # noqa: E501
            f"{100 * report.active_per_inference:>7.1f}{report.spikes:>9,.0f}{report.operations.dense * 1e-6:>9.2f}"  # noqa: E501
            f"{report.operations.active * 1e-6:>8.2f}{report.operations.synaptic * 1e-6:>8.2f}"
        )
    return "\n".join(lines)
