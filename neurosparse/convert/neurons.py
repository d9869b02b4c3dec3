"""The spiking neurons of a converted network, and one step of them as a pure function.

Time goes in steps of dt. A neuron that is not refractory takes the current I of the step,

    "if"    v = v + I
    "lif"   v = I + (v - I) exp(-dt / tau_m)

(exact for a current that is constant over the step, with a resistance of 1 and rest at 0), and
spikes where v >= threshold. Then v = v - threshold ("subtract", which keeps what is above the
threshold: Rueckauer et al. 2017, Front Neurosci 11:682, eq. 4) or v = v_reset ("value"). For t_ref
the neuron holds v and ignores its input.

With `tau_syn_ms` the current is that of synapses (a current-based LIF neuron, NIR's CubaLIF): what
comes in during a step is followed by S = input + (S - input) exp(-dt / tau_syn), and I = S.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from neurosparse.lif import LIF
from neurosparse.recipes import Spec

Positive = Annotated[float, Field(gt=0)]


class NeuronSpec(Spec):
    """A spiking neuron of a converted network.

    Parameters
    ----------
    kind
        "if": integrates its input; "lif": also leaks, with the time constant `tau_m_ms`.
    threshold
        Of the membrane potential, which has no unit here.
    reset, v_reset
        "subtract" takes the threshold away from the potential, "value" puts it to `v_reset`.
    t_ref_ms
        Refractory period, a whole number of steps.
    tau_m_ms
        Membrane time constant of the LIF neuron.
    tau_syn_ms
        Time constant with which the current of a LIF neuron follows its input; None where it is the
        input of the step. Means over time are the same.
    dt_ms
        Length of a step: the time scale on which rates are said in Hz. A neuron spikes at most once
        a step.
    v_initial
        Potential at the start as a part of the threshold. With 1/2 the number of spikes of an IF
        neuron that subtracts is its input rounded, not rounded down. That halves the error (Bu et
        al. 2022, arXiv 2303.04347, theorem 2).
    max_rate_hz
        The rate that stands for an activation of the layer's scale. By default the highest that
        there is, 1 / dt; with a refractory period, half of the highest, 1 / (dt + t_ref), for the
        f-I curve is bent the most towards its end.

    Examples
    --------
    >>> NeuronSpec(kind="lif", t_ref_ms=2.0).t_ref_steps
    2
    """

    kind: Literal["if", "lif"] = "if"
    threshold: Positive = 1.0
    reset: Literal["subtract", "value"] = "subtract"
    v_reset: float = 0.0
    t_ref_ms: Annotated[float, Field(ge=0)] = 0.0
    tau_m_ms: Positive = 20.0
    tau_syn_ms: Positive | None = None
    dt_ms: Positive = 1.0
    v_initial: Annotated[float, Field(ge=0, lt=1)] = 0.5
    max_rate_hz: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reset == "subtract" and self.v_reset != 0:
            raise ValueError(
                f'v_reset is of reset="value" alone, got {self.v_reset:g} with reset="subtract"'
            )
        if self.tau_syn_ms is not None and self.kind != "lif":
            raise ValueError(
                f'tau_syn_ms is of kind="lif" alone, got {self.tau_syn_ms:g} with'
                f" kind={self.kind!r}"
            )
        if self.v_reset >= self.threshold:
            raise ValueError(
                f"v_reset must be < threshold={self.threshold:g}, got {self.v_reset:g}"
            )
        if not math.isclose(
            self.t_ref_steps * self.dt_ms, self.t_ref_ms, rel_tol=1e-9, abs_tol=1e-12
        ):
            raise ValueError(
                f"t_ref_ms must be a whole number of steps of dt_ms={self.dt_ms:g}, got"
                f" {self.t_ref_ms:g}"
            )
        if (
            self.max_rate_hz is not None
            and self.max_rate_hz * 1e-3 * (self.dt_ms + self.t_ref_ms) > 1 + 1e-9
        ):
            highest = 1e3 / (self.dt_ms + self.t_ref_ms)
            raise ValueError(
                f"max_rate_hz must be <= 1 / (dt_ms + t_ref_ms), {highest:g}, got"
                f" {self.max_rate_hz:g}"
            )
        return self

    @property
    def t_ref_steps(self) -> int:
        """The refractory period in steps."""
        return round(self.t_ref_ms / self.dt_ms)

    @property
    def span(self) -> float:
        """From the potential after a spike at the threshold back up to it."""
        return self.threshold - self.v_reset

    @property
    def max_rate(self) -> float:
        """Spikes a step that stand for an activation of the layer's scale."""
        if self.max_rate_hz is not None:
            return self.max_rate_hz * 1e-3 * self.dt_ms
        return 0.5 / (1 + self.t_ref_steps) if self.t_ref_steps else 1.0

    @property
    def decay(self) -> float:
        """Share of a deflection of the membrane that remains after a step.

        It is exp(-dt / tau), 1 without a leak.
        """
        return math.exp(-self.dt_ms / self.tau_m_ms) if self.kind == "lif" else 1.0

    @property
    def synaptic_decay(self) -> float:
        """Share of the distance between current and input that remains after a step.

        It is exp(-dt / tau_syn), 0 where the current is the input itself.
        """
        return 0.0 if self.tau_syn_ms is None else math.exp(-self.dt_ms / self.tau_syn_ms)

    @property
    def lif(self) -> LIF:
        """The neuron in the terms of `neurosparse.lif`.

        Potentials are read as mV and currents as nA, through 1 MOhm.
        """
        if self.kind != "lif":
            raise ValueError(f'only a neuron of kind "lif" is a LIF cell, got {self.kind!r}')
        return LIF(
            tau_m_ms=self.tau_m_ms,
            resistance_MOhm=1.0,
            e_leak_mV=0.0,
            v_threshold_mV=self.threshold,
            v_reset_mV=self.v_reset,
            t_ref_ms=self.t_ref_ms,
        )


class State(NamedTuple):
    """State of neurons of any shape.

    Attributes
    ----------
    v
        The membrane potential.
    waiting
        Steps that the neuron is still refractory, int32; None where there is no refractory period.
    current
        The current of the synapses; None where it is the input itself.
    """

    v: Tensor
    waiting: Tensor | None = None
    current: Tensor | None = None


def start(like: Tensor, neuron: NeuronSpec) -> State:
    """Return the state of neurons at the start, for inputs of the shape of `like`."""
    return State(
        torch.full_like(like, neuron.v_initial * neuron.threshold),
        torch.zeros_like(like, dtype=torch.int32) if neuron.t_ref_steps else None,
        torch.zeros_like(like) if neuron.synaptic_decay else None,
    )


def step(given: Tensor, state: State, neuron: NeuronSpec) -> tuple[Tensor, State]:
    """Do one step of neurons of any shape; the arguments are left as they are.

    Parameters
    ----------
    given
        The input of this step: the current, where synapses do not filter it.
    state
        As `start` or the step before left it.
    neuron
        The neuron.

    Returns
    -------
    spikes : tensor
        1 where a neuron spikes and 0 elsewhere, of the kind of `given`.
    state
        The state after the step.

    Examples
    --------
    >>> given, neuron = torch.tensor([0.25, 0.75]), NeuronSpec()
    >>> spikes, state = step(given, start(given, neuron), neuron)
    >>> spikes.tolist(), state.v.tolist()
    ([0.0, 1.0], [0.75, 0.25])
    """
    v, waiting, current = state
    if current is not None:
        current = given = given + (current - given) * neuron.synaptic_decay
    after = v + given if neuron.kind == "if" else given + (v - given) * neuron.decay
    if waiting is not None:
        after = torch.where(waiting > 0, v, after)
    fires = after >= neuron.threshold
    if waiting is not None:
        fires &= waiting == 0
        waiting = torch.where(fires, neuron.t_ref_steps, (waiting - 1).clamp(min=0))
    spikes = fires.to(after.dtype)
    if neuron.reset == "subtract":
        return spikes, State(after - neuron.threshold * spikes, waiting, current)
    return spikes, State(torch.where(fires, neuron.v_reset, after), waiting, current)
