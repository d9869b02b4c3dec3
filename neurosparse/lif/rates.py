"""The leaky integrate-and-fire (LIF) cell as a rate.

One formula each, for NumPy arrays and for torch tensors.

The cell obeys tau dV/dt = E - V + R I, fires when V reaches the threshold, is held at the reset for
the refractory period.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.types import Array, Foreign
from neurosparse._internal.units import plain
from neurosparse.lif import siegert

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float64]
Number: TypeAlias = float | np.integer | np.floating
Row: TypeAlias = "Array | Sequence[float]"  # no deeper: text is a sequence of text, endlessly
Values: TypeAlias = "Row | Sequence[Row] | Sequence[Sequence[Row]]"
Given: TypeAlias = "Number | Values | Tensor"
Rates: TypeAlias = "np.float64 | Floats | Tensor"

_BLOCK = 32768  # points of an array at a time: what stays in the cache


@dataclass(frozen=True, slots=True)
class LIF:
    """Parameters of a leaky integrate-and-fire cell.

    Parameters
    ----------
    tau_m_ms
        Membrane time constant.
    resistance_MOhm
        Membrane resistance R: 1 nA through 1 MOhm is 1 mV.
    e_leak_mV
        Leak reversal potential E, where the cell rests.
    v_threshold_mV, v_reset_mV
        Firing threshold, and where the membrane is put after a spike.
    t_ref_ms
        Absolute refractory period.

    Raises
    ------
    ValueError, TypeError
        On NaN, a time constant or resistance that is not positive, a negative refractory period, a
        threshold not above reset.

    Examples
    --------
    >>> LIF().rheobase_nA
    0.2
    """

    tau_m_ms: float = 20.0
    resistance_MOhm: float = 100.0
    e_leak_mV: float = -70.0
    v_threshold_mV: float = -50.0
    v_reset_mV: float = -70.0
    t_ref_ms: float = 2.0

    def __post_init__(self) -> None:
        check = {
            "tau_m_ms": checks.positive,
            "resistance_MOhm": checks.positive,
            "t_ref_ms": checks.not_negative,
        }
        for name in (f.name for f in fields(self)):
            object.__setattr__(
                self, name, check.get(name, checks.number)(name, getattr(self, name))
            )
        if self.v_threshold_mV <= self.v_reset_mV:
            raise ValueError(
                f"v_threshold_mV must be > v_reset_mV={self.v_reset_mV:g}, got"
                f" {self.v_threshold_mV:g}"
            )

    @property
    def rheobase_nA(self) -> float:
        """The current above which the cell fires: (V_th - E) / R."""
        return (self.v_threshold_mV - self.e_leak_mV) / self.resistance_MOhm


@overload
def rate(current_nA: Number, lif: LIF) -> np.float64: ...
@overload
def rate(current_nA: Values, lif: LIF) -> Floats: ...
@overload
def rate(current_nA: Tensor, lif: LIF) -> Tensor: ...
def rate(current_nA: Given, lif: LIF) -> Rates:
    """Return the firing rate in Hz of a LIF cell under a constant current.

    f(I) = 1 / (t_ref + tau ln((E + R I - V_reset) / (E + R I - V_th))) where E + R I > V_th, else
    exactly 0 (Glorot, Bordes & Bengio 2011, section 2.2, with the refractory period and resting
    potential written out).

    Parameters
    ----------
    current_nA : float, array or torch tensor, any shape
        Constant input current in nA. -inf to inf; NaN raises.
    lif
        The cell.

    Returns
    -------
    float64 array (a NumPy scalar for a number), or a tensor on the same device with gradients: the
    rate in Hz.

    Examples
    --------
    >>> rate([0.1, 0.3], LIF()).round(2)
    array([ 0.  , 41.71])
    """
    check_lif(lif)
    xp, current = _namespace(current_nA, "current_nA")
    # mV above threshold at rest
    drive = lif.resistance_MOhm * current + (lif.e_leak_mV - lif.v_threshold_mV)
    fires = drive > 0
    # log1p keeps its precision far above threshold; the cells that do not fire get a harmless 1, so
    # no gradient is NaN
    climb_ms = lif.tau_m_ms * xp.log1p(
        (lif.v_threshold_mV - lif.v_reset_mV) / xp.where(fires, drive, 1.0)
    )
    interval_ms = lif.t_ref_ms + climb_ms
    rates: Rates = xp.where(fires, 1e3 / interval_ms, 0.0 * climb_ms)[()]
    return rates


@overload
def current(rate_hz: Number, lif: LIF) -> np.float64: ...
@overload
def current(rate_hz: Values, lif: LIF) -> Floats: ...
@overload
def current(rate_hz: Tensor, lif: LIF) -> Tensor: ...
def current(rate_hz: Given, lif: LIF) -> Rates:
    """Return the constant current in nA that makes a LIF cell fire at `rate_hz`.

    The inverse of `rate`.

    I = ((k V_th - V_reset) / (k - 1) - E) / R with k = exp((1/f - t_ref) / tau). At 0 Hz the
    largest such current, the rheobase.

    Raises
    ------
    ValueError
        On NaN, negative rates, and rates of 1/t_ref or more, which no current reaches.
    TypeError
        Where an argument is of another kind.
    """
    check_lif(lif)
    xp, f = _namespace(rate_hz, "rate_hz")
    limit_hz = 1e3 / lif.t_ref_ms if lif.t_ref_ms > 0 else np.inf
    if bool((f < 0).any()) or bool((f >= limit_hz).any()):
        raise ValueError(
            f"rate_hz must lie in [0, {limit_hz:g}) for t_ref_ms={lif.t_ref_ms:g}, got {rate_hz!r}"
        )
    fires = f > 0
    climb = (1e3 / xp.where(fires, f, 1.0) - lif.t_ref_ms) / lif.tau_m_ms
    # beyond, the current is the rheobase to rounding, and exp overflows
    climb = xp.where(climb > 700.0, 700.0, climb)
    # (k V_th - V_r)/(k - 1) = V_th + (V_th - V_r)/(k - 1); expm1 keeps the precision at high rates
    above_threshold_mV = xp.where(
        fires, (lif.v_threshold_mV - lif.v_reset_mV) / xp.expm1(climb), 0.0 * climb
    )
    currents: Rates = (above_threshold_mV / lif.resistance_MOhm + lif.rheobase_nA)[()]
    return currents


@overload
def soft_rate(current_nA: Number, lif: LIF, smoothing: float = ...) -> np.float64: ...
@overload
def soft_rate(current_nA: Values, lif: LIF, smoothing: float = ...) -> Floats: ...
@overload
def soft_rate(current_nA: Tensor, lif: LIF, smoothing: float = ...) -> Tensor: ...
def soft_rate(current_nA: Given, lif: LIF, smoothing: float = 0.1) -> Rates:
    """Return the soft LIF rate in Hz: `rate` with a rounded threshold, differentiable everywhere.

    With x = (E + R I - V_th) / (V_th - V_reset), rho = s ln(1 + exp(x/s)) and f = 1 / (t_ref + tau
    ln(1 + 1/rho)) (Hunsberger & Eliasmith 2015, arXiv 1510.08829, eq. 4). Tends to `rate` as the
    smoothing s goes to 0.

    Parameters
    ----------
    current_nA
        Constant input current in nA, of any shape.
    lif
        The cell.
    smoothing
        s > 0, in units of V_th - V_reset.
    """
    check_lif(lif)
    s = checks.positive("smoothing", smoothing)
    xp, drive_nA = _namespace(current_nA, "current_nA")
    span_mV = lif.v_threshold_mV - lif.v_reset_mV
    y = (lif.resistance_MOhm * drive_nA + lif.e_leak_mV - lif.v_threshold_mV) / (span_mV * s)
    # ln(1 + 1/rho) = ln(1 + rho) - ln(rho), and ln ln(1 + exp(y)) = y far below threshold, where
    # rho itself underflows
    softplus = xp.logaddexp(y, xp.zeros_like(y))
    deep = y < -15.0
    log_rho = np.log(s) + xp.where(deep, y, xp.log(xp.where(deep, 1.0, softplus)))
    rates: Rates = (1e3 / (lif.t_ref_ms + lif.tau_m_ms * (xp.log1p(s * softplus) - log_rho)))[()]
    return rates


@overload
def siegert_rate(mean_mV: Number, sigma_mV: Number, lif: LIF) -> np.float64: ...
@overload
def siegert_rate(mean_mV: Values, sigma_mV: Values | Number, lif: LIF) -> Floats: ...
@overload
def siegert_rate(mean_mV: Number, sigma_mV: Values, lif: LIF) -> Floats: ...
@overload
def siegert_rate(mean_mV: Tensor, sigma_mV: Given, lif: LIF) -> Tensor: ...
@overload
def siegert_rate(mean_mV: Values | Number, sigma_mV: Tensor, lif: LIF) -> Tensor: ...
def siegert_rate(mean_mV: Given, sigma_mV: Given, lif: LIF) -> Rates:
    """Return the firing rate in Hz of a LIF cell under white noise: Siegert's formula.

    1/f = t_ref + tau sqrt(pi) S(a, b), S(a, b) = integral from a to b of exp(u^2) (1 + erf u), a =
    (V_reset - mean) / sigma, b = (V_th - mean) / sigma (Siegert 1951; Brunel 2000, J Comput
    Neurosci 8:183, eq. 21). As sigma goes to 0 it tends to `rate`.

    Parameters
    ----------
    mean_mV : float, array or torch tensor
        Where the free membrane would be on average: E + R I.
    sigma_mV : float, array or torch tensor, broadcast against the mean
        The noise in **Brunel's convention**, tau dV/dt = mean - V + sigma sqrt(tau) xi(t). It is
        sqrt(2) times the standard deviation of the free membrane, which others call sigma. For
        Poisson input of rate f through jumps J: sigma^2 = tau J^2 f. >= 0.
    lif
        The cell; its resistance and resting potential play no part.

    Returns
    -------
    float64 array (a NumPy scalar for numbers), or a tensor with gradients for both arguments: the
    rate in Hz. Its relative error is below 1e-9 where the threshold is more than sigma/1000 above
    the reset; rates below 1e-300 Hz are 0. Tensors are computed in float64 on the CPU, and returned
    in their own type on their own device.

    Examples
    --------
    >>> siegert_rate([-60.0, -45.0], 5.0, LIF()).round(3)
    array([ 0.856, 32.182])
    """
    check_lif(lif)
    if _is_tensor(mean_mV) or _is_tensor(sigma_mV):
        return _siegert_of_tensors(mean_mV, sigma_mV, lif)
    mean = checks.finite_array("mean_mV", mean_mV)
    sigma = checks.finite_array("sigma_mV", sigma_mV)
    if sigma.min(initial=0.0) < 0:
        raise ValueError(f"sigma_mV must be >= 0, got {sigma.min():g}")
    mean, sigma = np.broadcast_arrays(mean, sigma)
    result = np.empty(mean.shape)
    flat, mean, sigma = result.reshape(-1), mean.reshape(-1), sigma.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        flat[block] = _siegert(mean[block], sigma[block], lif)
    rates: Rates = result[()]
    return rates


def _siegert(mean: Floats, sigma: Floats, lif: LIF) -> Floats:
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = 1 / sigma
        lower, upper = lif.v_reset_mV - mean, lif.v_threshold_mV - mean
        lower *= inverse
        upper *= inverse
    # so far from the threshold noise does not matter; without noise the limits are infinite or
    # nothing at all
    all_noisy = lower.min() > -1e6 and upper.max() < 1e6
    if not all_noisy:
        certain = np.flatnonzero(~((lower > -1e300) & (np.abs(upper) < 1e6)))
        lower[certain] = upper[certain] = 0.0
    interval_ms = siegert.integral(lower, upper)
    interval_ms *= lif.tau_m_ms * np.sqrt(np.pi)
    interval_ms += lif.t_ref_ms
    with np.errstate(divide="ignore"):
        result: Floats = np.divide(1e3, interval_ms, out=interval_ms)
    if not all_noisy:
        result[certain] = rate((mean[certain] - lif.e_leak_mV) / lif.resistance_MOhm, lif)
    return result


def _siegert_of_tensors(mean_mV: Given, sigma_mV: Given, lif: LIF) -> Tensor:
    torch = sys.modules["torch"]
    like: Foreign = mean_mV if _is_tensor(mean_mV) else sigma_mV
    mean, sigma = (
        torch.as_tensor(plain(name, x), dtype=like.dtype, device=like.device)
        for name, x in (("mean_mV", mean_mV), ("sigma_mV", sigma_mV))
    )
    rates: Tensor = _siegert_function().apply(*torch.broadcast_tensors(mean, sigma), lif)
    return rates


@lru_cache
def _siegert_function() -> Foreign:
    """Make Siegert's rate a differentiable function of torch.

    Made when first asked for, so that torch is not imported here.
    """
    torch = sys.modules["torch"]

    function: Foreign = torch.autograd.Function

    class Siegert(function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Foreign, mean: Tensor, sigma: Tensor, lif: LIF) -> Tensor:
            values = siegert_rate(
                mean.detach().cpu().double().numpy(), sigma.detach().cpu().double().numpy(), lif
            )
            result: Tensor = torch.as_tensor(values).to(mean)
            ctx.save_for_backward(mean, sigma, result)
            ctx.lif = lif
            return result

        @staticmethod
        def backward(ctx: Foreign, grad: Tensor) -> tuple[Tensor, Tensor, None]:
            mean, sigma, f = ctx.saved_tensors
            lif = ctx.lif
            # d/dx of S is exp(x^2) (1 + erf x) at the limits; f falls faster than it grows, so
            # their product is finite without noise: that of very little
            noise = torch.maximum(sigma, 1e-6 * (lif.v_threshold_mV - mean).abs()).clamp(min=1e-300)
            slopes = []
            for limit_mV in (lif.v_reset_mV, lif.v_threshold_mV):
                x = ((limit_mV - mean) / noise).clamp(max=26.0)
                slopes.append((x, f * torch.special.erfcx(-x)))
            (a, at_a), (b, at_b) = slopes
            scale = grad * f * (lif.tau_m_ms * np.sqrt(np.pi) * 1e-3) / noise
            return scale * (at_b - at_a), scale * (b * at_b - a * at_a), None

    return Siegert


def check_lif(lif: object) -> None:
    """Refuse what is no LIF with a TypeError."""
    checks.instance("lif", lif, LIF, "make one: neurosparse.LIF()")


def _is_tensor(values: object) -> bool:
    of_torch = type(values).__module__.split(".")[0] == "torch"
    return hasattr(values, "dtype") and (of_torch or hasattr(values, "requires_grad"))


def _namespace(values: Given, name: str) -> tuple[ModuleType, Foreign]:
    """Return the library that `values` belong to, and `values` as its float array.

    torch is never imported here.
    """
    if _is_tensor(values):
        torch = sys.modules["torch"]
        if bool(torch.isnan(values).any()):
            raise ValueError(f"{name} must not be NaN")
        return torch, values
    given = plain(name, values)
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        wanted = "a number, an array or a tensor of numbers"
        raise checks.wrong_kind(name, wanted, values) from None
    if np.isnan(array).any():
        raise ValueError(f"{name} must not be NaN")
    return np, array
