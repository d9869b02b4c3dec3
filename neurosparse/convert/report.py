"""The report of a conversion.

How well the spiking network does what its source does, how sparse it is, and what it costs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from neurosparse import reference
from neurosparse._internal import cards, checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.digits import three_digits
from neurosparse._internal.types import Fields
from neurosparse.activity import ActivityStats
from neurosparse.convert.costs import Energy, Operations, last_below

MOST_BEND = 0.02  # of the highest rate, for nobody to be told
TOLERANCE = 0.005  # of accuracy, or of agreement where there are no labels
FORMAT, VERSION = "neurosparse.conversion", 1


@dataclass(frozen=True, slots=True)
class AtSteps:
    """Quality of the outputs after some steps, as shares of the inputs."""

    steps: int
    agreement: float  # the same class as the source's
    accuracy: float | None  # None without labels


@dataclass(frozen=True, slots=True)
class LayerReport:
    """A layer of neurons beside the layer of activations that it stands for.

    Attributes
    ----------
    source_active
        The share of its activations that are not 0.
    active_per_step, active_per_inference
        The share of its neurons that spike in a step; that spike at all for an input.
    spikes
        Of an inference.
    rate_hz
        Of a neuron, at the stated length of a step.
    error
        The mean of abs(s r - a) over that of a: a the activation, r the spikes a step, s the
        activation that 1 stands for.
    worst_unit, worst_error
        The unit with the largest mean of abs(s r - a), and that mean in the units of the source.
    """

    name: str
    n_units: int
    source_active: float
    active_per_step: float
    active_per_inference: float
    spikes: float
    rate_hz: float
    error: float
    worst_unit: tuple[int, ...]
    worst_error: float


@dataclass(frozen=True, slots=True)
class ConversionReport(cards.Shown):
    """Comparison of a spiking network with its source, made by `verification.verify`.

    Attributes
    ----------
    bend
        How far the neurons' f-I curve is from the line that their weights were balanced by, as a
        part of the highest rate (`normalisation.bend`). It is 0 where the source has these very
        curves.
    source_accuracy
        None without labels.
    curve
        After 1, 2, 4, ... steps and after all.
    layers
        The layers of neurons in order.
    operations, energies
        Of one inference, and by device.
    spiking, source
        Statistics of both with all layers side by side, for `neurosparse.compare`. They are the
        spikes of the first inputs one after another, with a step for the window, and the
        activations of all.
    """

    name: str
    neuron: Fields
    normalisation: Fields
    coding: str
    n_inputs: int
    steps: int
    dt_ms: float
    bend: float
    source_accuracy: float | None
    curve: tuple[AtSteps, ...]
    layers: tuple[LayerReport, ...]
    operations: Operations
    energies: tuple[Energy, ...]
    spiking: ActivityStats = field(repr=False)
    source: ActivityStats = field(repr=False)

    @property
    def fewest_steps(self) -> int | None:
        """The fewest steps from which on at most 0.5 points of accuracy are lost.

        They are one of the looked-at numbers of steps; None where that is not reached.

        Without labels: from which on the classes of at most 0.5 % of the inputs differ.
        """
        fewest = None
        for at in reversed(self.curve):
            lost = (
                1 - at.agreement
                if self.source_accuracy is None
                else self.source_accuracy - (at.accuracy or 0.0)
            )
            if lost > TOLERANCE + 1e-9:
                break
            fewest = at.steps
        return fewest

    @property
    def spikes(self) -> float:
        """Spikes of an inference, all layers together."""
        return sum(layer.spikes for layer in self.layers)

    @property
    def active_per_inference(self) -> float:
        """The share of the neurons that spike at all for an input."""
        return (
            sum(layer.active_per_inference * layer.n_units for layer in self.layers) / self.n_units
        )

    @property
    def n_units(self) -> int:
        """Spiking neurons."""
        return sum(layer.n_units for layer in self.layers)

    def sentences(self) -> list[str]:
        """Return the findings in plain words."""
        last, band = self.curve[-1], reference.bands()["glorot2011"]
        alike = f"give the same class for {100 * last.agreement:.2f} % of the inputs"
        if self.source_accuracy is None or last.accuracy is None:
            good = f"After {self.steps} steps spikes and source {alike}."
            lost = "the classes of at most 0.5 % of the inputs differ"
        else:
            good = (
                f"After {self.steps} steps the spikes have an accuracy of"
                f" {100 * last.accuracy:.2f} %, compared with {100 * self.source_accuracy:.2f} % of"
                f" the source. The two {alike}."
            )
            lost = "at most 0.5 points of accuracy are lost"
        fewest = self.fewest_steps
        good += f" From {fewest} steps on {lost}." if fewest else f" At no number of steps {lost}."
        worst = max(self.layers, key=lambda layer: layer.error)
        place = ", ".join(map(str, worst.worst_unit))
        windows = self._windows(f"{100 * band.low:g}", f"{100 * band.high:g}")
        total = self.operations
        spiking = total.synaptic + total.input
        bent = (
            f"The rates of these neurons bend away from a rectifier by {100 * self.bend:.1f} % of"
            " the highest. No weights make up for that: train on with the rates themselves,"
            " tune(to_rate(spiking), images, labels).spiking()."
        )
        return [
            good,
            *([bent] if self.bend > MOST_BEND else []),
            (
                f"Rates differ most from activations in {worst.name}: by {100 * worst.error:.1f} %"
                f" of the mean activation. The worst unit there is {place}, with a difference of"
                f" {worst.worst_error:.3g}."
            ),
            (
                f"An inference takes {self.spikes:,.0f} spikes, at a mean rate of"
                f" {self.spiking.mean_rate_hz:.1f} Hz. Of the {self.n_units:,} neurons"
                f" {100 * self.spiking.active_fraction:.2f} % spike in a step of {self.dt_ms:g} ms,"
                f" and {100 * self.active_per_inference:.1f} % in the"
                f" {self.steps * self.dt_ms:g} ms of an inference."
            ),
            (
                f"{windows} For an input {100 * self.source.active_fraction:.1f} % of the source's"
                " units are active."
            ),
            (
                f"An inference takes {total.synaptic:,.0f} synaptic operations and"
                f" {total.input:,.0f} multiply-accumulates. The dense network takes"
                f" {total.dense:,.0f} multiply-accumulates, and {total.active:,.0f} without its"
                f" zeros. So spikes take {three_digits(spiking / total.active)} times the"
                " operations of the network without its zeros."
            ),
            *(found.sentence() for found in self.energies),
        ]

    def _windows(self, low: str, high: str) -> str:
        """Return the windows in which two shares of the neurons, in %, spike, in words."""
        first, second = (self._window(float(share) / 100) for share in (low, high))
        if first == second:
            return f"{low} and {high} % of the neurons spike in {first}."
        return f"{low} % of the neurons spike in {first}, and {high} % in {second}."

    def _window(self, share: float) -> str:
        window = self.spiking.curve.window_ms(share) if self.spiking.curve else None
        if window is None:
            return "no window of the record"
        return (
            f"{window:.3g} ms" if window >= self.dt_ms else f"less than a step of {self.dt_ms:g} ms"
        )

    def table(self) -> str:
        """Format steps and layers in a table of at most 80 columns."""
        labelled = (
            f"{'accuracy %':>12}{'lost, points':>14}" if self.source_accuracy is not None else ""
        )
        lines = [f"{'steps':>6}{'agreement %':>13}{labelled}"]
        for at in self.curve:
            row = f"{at.steps:>6}{100 * at.agreement:>13.2f}"
            if at.accuracy is not None and self.source_accuracy is not None:
                row += (
                    f"{100 * at.accuracy:>12.2f}{100 * (self.source_accuracy - at.accuracy):>14.2f}"
                )
            lines.append(row)
        lines += [
            "",
            (
                f"{'':<14}{'active %':>9}{'spiking %':>18}{'spikes':>10}{'rate':>8}{'error':>8}{'worst':>9}"  # noqa: E501
            ),
            (
                f"{'layer':<14}{'source':>9}{'a step':>9}{'in all':>9}{'':>10}{'Hz':>8}{'%':>8}{'unit':>9}"  # noqa: E501
            ),
        ]
        for layer in self.layers:
            lines.append(
                f"{layer.name[:14]:<14}{100 * layer.source_active:>9.1f}{100 * layer.active_per_step:>9.2f}"  # noqa: E501
                f"{100 * layer.active_per_inference:>9.1f}{layer.spikes:>10,.0f}{layer.rate_hz:>8.1f}"  # noqa: E501
                f"{100 * layer.error:>8.1f}{','.join(map(str, layer.worst_unit)):>9}"
            )
        lines += [
            "",
            (
                f"{'nJ an inference':<24}{'dense':>10}{'active':>10}{'spiking':>10}{'break-even, steps':>20}"  # noqa: E501
            ),
        ]
        for found in self.energies:
            ends = (found.break_even_steps, found.break_even_active_steps)
            until = " / ".join(f"{last_below(end):,}" for end in ends)
            lines.append(
                f"{found.device.label:<24}{three_digits(found.dense_nJ):>10}{three_digits(found.active_nJ):>10}"
                f"{three_digits(found.spiking_nJ):>10}{until:>20}"
            )
        lines += [
            "Active: the network without its zeros. Break-even: up to so many steps spikes",
            "cost less than the dense network / than the network without its zeros.",
        ]
        return "\n".join(lines)

    def _card(self) -> cards.Card:
        rows = [
            {
                "layer": layer.name,
                "active, source (%)": 100 * layer.source_active,
                "spiking, a step (%)": 100 * layer.active_per_step,
                "spikes": layer.spikes,
                "rate (Hz)": layer.rate_hz,
                "error (%)": 100 * layer.error,
            }
            for layer in self.layers
        ]
        return cards.Card(
            f"{self.name}, converted", rows, self.sentences(), more=".sentences(), .table()"
        )

    def to_dict(self) -> Fields:
        """Return everything but the per-unit arrays, as plain JSON types."""
        plain = (
            "name",
            "neuron",
            "normalisation",
            "coding",
            "n_inputs",
            "steps",
            "dt_ms",
            "bend",
            "source_accuracy",
        )
        return {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(self, name) for name in plain},
            "sentences": self.sentences(),
            "fewest_steps": self.fewest_steps,
            "curve": [asdict(at) for at in self.curve],
            "layers": [asdict(layer) for layer in self.layers],
            "spikes": self.spikes,
            "active_per_inference": self.active_per_inference,
            "operations": asdict(self.operations),
            "energies": [asdict(found) for found in self.energies],
            "activity": {"spiking": self.spiking.to_dict(), "source": self.source.to_dict()},
        }

    def save(self, path: str | Path) -> None:
        """Write the report as a JSON file, which appears whole or not at all."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        with files.new_file(checks.path("path", path)) as file:
            file.write_text(text, encoding="utf-8")
