"""Firing rates as activations.

A LIF cell stands in the place of a rectifier, and a spiking network becomes the rates of its
neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse.convert.graph import Graph, Spike
from neurosparse.convert.neurons import NeuronSpec
from neurosparse.convert.runs import check_network
from neurosparse.lif import LIF, rate, siegert_rate, soft_rate
from neurosparse.lif.rates import check_lif

if TYPE_CHECKING:
    from neurosparse.convert.network import SpikingNetwork

Variant = Literal["exact", "soft", "siegert"]


class LIFRate(nn.Module):
    """The rate of a LIF cell over its drive, in the place of a rectifier.

    It is silent below 0, rises above it, and is bounded by 1/t_ref.

    The drive x is what the membrane would reach above its threshold, in units of V_th - V_reset: it
    stands for the current I = rheobase + x (V_th - V_reset) / R. The output is f / scale_hz, with::

        exact     f = 1 / (t_ref + tau ln(1 + 1/x)) for x > 0, else 0 (`neurosparse.lif.rate`)
        soft      the same with s ln(1 + exp(x/s)) for x: smooth, never quite 0
                  (`neurosparse.lif.soft_rate`)
        siegert   the rate under white noise: smooth, as many weak spikes make it
                  (`neurosparse.lif.siegert_rate`)

    **The gradient at threshold.** The slope of "exact", tau f^2 / (x (1 + x)), grows without bound
    as x falls to 0. It is taken at max(x, onset) for x > 0, and is 0 for x <= 0, as a rectifier's:
    the values are exact everywhere, the slopes from `onset` upwards. "soft" and "siegert" have
    their own slopes everywhere.

    A network of these goes through `to_spiking` as it is, with `neuron()` for its neurons: no
    weight is scaled to data.

    Parameters
    ----------
    lif
        The cell. Its rate over x depends on tau and t_ref alone.
    variant
        "exact", "soft" or "siegert".
    scale_hz
        The rate that counts as an output of 1.
    onset
        For "exact": the drive below which the slope is held, > 0.
    smoothing
        For "soft": the s above (Hunsberger & Eliasmith 2015, arXiv 1510.08829, eq. 4).
    sigma_mV
        For "siegert": the noise, in Brunel's convention.

    Raises
    ------
    ValueError, TypeError
        For an unknown variant, and for numbers that are not positive.

    Examples
    --------
    >>> LIFRate(LIF(t_ref_ms=2.0), scale_hz=100.0)(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=3)
    tensor([0.0000, 0.0000, 0.6300])
    """

    def __init__(
        self,
        lif: LIF | None = None,
        *,
        variant: Variant = "exact",
        scale_hz: float = 100.0,
        onset: float = 0.02,
        smoothing: float = 0.1,
        sigma_mV: float = 5.0,
    ) -> None:
        super().__init__()
        _check_variant(variant)
        self.lif = LIF() if lif is None else lif
        check_lif(self.lif)
        self.variant = variant
        self.scale_hz = checks.positive("scale_hz", scale_hz)
        self.onset = checks.positive("onset", onset)
        self.smoothing = checks.positive("smoothing", smoothing)
        self.sigma_mV = checks.positive("sigma_mV", sigma_mV)
        # the same cell with x for its current: at rest it sits at its threshold, one unit above the
        # reset
        self._unit = LIF(
            tau_m_ms=self.lif.tau_m_ms, resistance_MOhm=1.0, e_leak_mV=0.0,
            v_threshold_mV=0.0, v_reset_mV=-1.0, t_ref_ms=self.lif.t_ref_ms,
        )  # fmt: skip

    def forward(self, drive: Tensor) -> Tensor:
        """Return the rates of cells under a drive, any shape, over `scale_hz`."""
        if self.variant == "siegert":
            sigma = self.sigma_mV / (self.lif.v_threshold_mV - self.lif.v_reset_mV)
            return siegert_rate(drive, sigma, self._unit) / self.scale_hz
        if self.variant == "soft":
            return soft_rate(drive, self._unit, self.smoothing) / self.scale_hz
        result: Tensor = _ExactRate.apply(drive, self._unit, self.onset) / self.scale_hz  # type: ignore[no-untyped-call]
        return result

    def neuron(
        self, dt_ms: float = 1.0, *, reset: Literal["subtract", "value"] = "subtract"
    ) -> NeuronSpec:
        """Return the spiking neuron whose rate this is.

        It is for `to_spiking(model, calibration, neuron=...)`.

        In steps of dt a cell that is reset to a value fires late by half a step on average; one
        that subtracts makes up for it.
        """
        return NeuronSpec(
            kind="lif",
            tau_m_ms=self.lif.tau_m_ms,
            t_ref_ms=self.lif.t_ref_ms,
            dt_ms=dt_ms,
            reset=reset,
        )

    def spike_balance(self, neuron: NeuronSpec) -> tuple[float, float, float]:
        """Return gain g, offset c and scale s of spiking cells in this place.

        The current is g x + c, and the output s times the spikes a step.

        Raises
        ------
        ValueError
            For neurons of another kind, time constant or refractory period.
        """
        wanted = ("lif", self.lif.tau_m_ms, self.lif.t_ref_ms)
        if (neuron.kind, neuron.tau_m_ms, neuron.t_ref_ms) != wanted:
            raise ValueError(
                f"LIFRate stands for neurons of kind='lif', tau_m_ms={wanted[1]:g},"
                f" t_ref_ms={wanted[2]:g}, got kind={neuron.kind!r}, tau_m_ms={neuron.tau_m_ms:g},"
                f" t_ref_ms={neuron.t_ref_ms:g}: use LIFRate.neuron()"
            )
        return (
            neuron.threshold - neuron.v_reset,
            neuron.threshold,
            1e3 / (neuron.dt_ms * self.scale_hz),
        )

    def extra_repr(self) -> str:
        """Return what `print` shows of the cell."""
        return f"{self.lif}, variant={self.variant!r}, scale_hz={self.scale_hz:g}"


class _ExactRate(torch.autograd.Function):
    """`lif.rate` of a drive, its slope held from `onset` down to the threshold."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, unit: LIF, onset: float) -> Tensor:
        ctx.save_for_backward(drive)
        ctx.unit, ctx.onset = unit, onset
        return rate(drive, unit)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (drive,) = ctx.saved_tensors
        x = drive.clamp(min=ctx.onset)
        slope = rate(x, ctx.unit).square() * (1e-3 * ctx.unit.tau_m_ms) / (x * (1 + x))
        return torch.where(drive > 0, grad * slope, 0.0), None, None


def _check_variant(variant: object) -> None:
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}")


class StepRate(nn.Module):
    """The mean spikes a step of a neuron over a constant current, differentiable.

    The neuron spikes at most every 1 + t_ref steps.

    Parameters
    ----------
    neuron
        The neuron. "if": x / (1 + t_ref x) with x = I / (threshold - reset), clipped to [0, 1];
        "lif": `LIFRate`, clipped at 1 / (1 + t_ref).
    variant
        For "lif": "exact", "soft" or "siegert".
    """

    def __init__(self, neuron: NeuronSpec, variant: Variant = "exact") -> None:
        super().__init__()
        _check_variant(variant)
        self.neuron = neuron
        self.leaky = None
        if neuron.kind == "lif":
            self.leaky = LIFRate(neuron.lif, variant=variant, scale_hz=1e3 / neuron.dt_ms)

    def forward(self, current: Tensor) -> Tensor:
        """Return the spikes a step, any shape."""
        span = self.neuron.threshold - self.neuron.v_reset
        if self.leaky is None:
            x = (current / span).clamp(0, 1)
            return x / (1 + self.neuron.t_ref_steps * x)
        rates: Tensor = self.leaky((current - self.neuron.threshold) / span)
        return rates.clamp(max=1 / (1 + self.neuron.t_ref_steps))


def of_rates(graph: Graph, neuron: NeuronSpec, variant: Variant = "exact") -> Graph:
    """Return a graph with the neurons' rates in the place of their spikes.

    It is a source for a `SpikingNetwork`.
    """
    activation, one = StepRate(neuron, variant), torch.tensor(1.0)
    return Graph(
        tuple(
            (
                replace(layer, activation=activation, gain=one, offset=0 * one, scale=one)
                if isinstance(layer, Spike)
                else layer
            )
            for layer in graph.layers
        )
    )


class RateNetwork(nn.Module):
    """A spiking network as the rates of its neurons, made by `to_rate`.

    It is differentiable for its inputs and its weights.

    Parameters
    ----------
    spiking
        The spiking network; it is left as it is.
    variant
        Of LIF neurons, as in `LIFRate`.
    """

    def __init__(self, spiking: SpikingNetwork, variant: Variant = "exact") -> None:
        check_network("spiking", spiking)
        super().__init__()
        self._spiking, self._graph = (
            spiking,
            of_rates(spiking.graph.to("cpu"), spiking.neuron, variant),
        )
        self._places = [
            (k, name)
            for k, layer in enumerate(self._graph.layers)
            for name in ("weight", "bias")
            if hasattr(layer, name)
        ]
        self.weights = nn.ParameterList(
            getattr(self._graph.layers[k], name).clone() for k, name in self._places
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output for inputs of shape (n, *input shape).

        The spiking network's output tends to it, as rates have it.
        """
        values: dict[str, Tensor] = {}
        for layer in self._with_weights(self._graph).layers:
            values[layer.name] = layer(
                *(values[name] for name in layer.inputs) if layer.inputs else (inputs,)
            )
        return values[self._graph.layers[-1].name]

    def spiking(self) -> SpikingNetwork:
        """Return the spiking network of these weights, a copy.

        Its source is this network of rates, in spikes a step.
        """
        weights = [weight.detach().clone() for weight in self.weights]
        source, graph = (
            self._with_weights(graph, weights)
            for graph in (self._graph, self._spiking.graph.to("cpu"))
        )
        layers = (
            (
                replace(layer, scale=torch.ones_like(layer.scale))
                if isinstance(layer, Spike)
                else layer
            )
            for layer in graph.layers
        )
        return replace(self._spiking, source=source, graph=Graph(tuple(layers)))

    def _with_weights(self, graph: Graph, weights: Any = None) -> Graph:
        changed: dict[int, Fields] = {}
        for (k, name), weight in zip(
            self._places, self.weights if weights is None else weights, strict=True
        ):
            changed.setdefault(k, {})[name] = weight
        return Graph(
            tuple(replace(layer, **changed.get(k, {})) for k, layer in enumerate(graph.layers))
        )


def to_rate(spiking: SpikingNetwork, *, variant: Variant = "exact") -> RateNetwork:
    """Return a spiking network as a differentiable network of its neurons' rates.

    It is there to train on, and to go back from.

    Each neuron gives the mean spikes a step that it has under a constant current of the mean of its
    own. That is exact for an IF neuron that subtracts and has no refractory period, as the steps
    get many; others see spikes, not their mean.

    Parameters
    ----------
    spiking
        As `to_spiking` made it; it is left as it is.
    variant
        Of LIF neurons: "exact", "soft" or "siegert" (`LIFRate`).

    Raises
    ------
    ValueError, TypeError
        For an unknown variant, and for what is no spiking network.

    Examples
    --------
    >>> from neurosparse.convert import to_spiking
    >>> _ = torch.manual_seed(1)
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> x = torch.rand(10, 2)
    >>> rates = to_rate(to_spiking(model, x, normalisation="maximum"))
    >>> bool((rates(x) - model(x)).abs().max() < 1e-5)
    True
    """
    return RateNetwork(spiking, variant)
