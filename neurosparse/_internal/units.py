"""Values that carry physical units, as plain numbers in the unit that a name states.

NumPy drops the unit of most of them without a word: seconds would be read as milliseconds. What
carries one is known by the library it comes from (Brian2, quantities and Neo, pint, astropy, unyt,
pynapple, xarray), none of which is imported here. Differences of times (NumPy's, Python's, pandas')
carry one too. Masks, which NumPy drops as well, are refused.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from neurosparse._internal.types import Foreign

Converter: TypeAlias = Callable[[Foreign, str | None], Foreign]

# suffix of a name -> (the unit without its prefix, the factor to it)
_UNITS = {
    "s": ("s", 1.0),
    "seconds": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "hz": ("Hz", 1.0),
    "V": ("V", 1.0),
    "mV": ("V", 1e-3),
    "nA": ("A", 1e-9),
    "pA": ("A", 1e-12),
    "MOhm": ("ohm", 1e6),
    "pF": ("F", 1e-12),
    "nS": ("S", 1e-9),
    "pJ": ("J", 1e-12),
    "nJ": ("J", 1e-9),
}
# other names of theirs
_NAMES = {
    **dict.fromkeys(("second", "sec"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec"), "ms"),
    **dict.fromkeys(("microsecond", "microseconds", "usec", "µs"), "us"),
    "Hz": "hz",
}
# exponents of metre, kilogram, second and ampere, which Brian2 keeps of a unit
_DIMENSIONS = {
    None: (0, 0, 0, 0),
    "s": (0, 0, 1, 0),
    "Hz": (0, 0, -1, 0),
    "V": (2, 1, -3, -1),
    "A": (0, 0, 0, 1),
    "ohm": (2, 1, -3, -2),
    "F": (-2, -1, 4, 2),
    "S": (-2, -1, 3, 2),
    "J": (2, 1, -2, 0),
}
_SUFFIX = re.compile(rf"(?<!_per)(?:^|_)({'|'.join(_UNITS)})$")


def plain(name: str, value: object, unit: str | None = None) -> Foreign:
    """Return a value without units as it is, and one with units as numbers in the unit of the name.

    Parameters
    ----------
    name
        What the value is called; the unit is that of its suffix (`times_ms`, `currents_nA`), none
        where it has no such suffix.
    value
        Anything; of a list or tuple each entry may carry its own unit.
    unit
        The unit, where the name does not state it.

    Raises
    ------
    TypeError
        Where the value carries a unit that does not convert to the one of the name.
    ValueError
        Where it is an array of which a part is masked.

    Examples
    --------
    >>> import quantities as pq
    >>> plain("window_ms", 0.01 * pq.s)
    array(10.)
    """
    is_time = getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M")
    if not is_time and (type(value) is np.ndarray or isinstance(value, int | float | str | None)):
        return value
    if isinstance(value, list | tuple):
        return _of_entries(name, value, unit)
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise ValueError(
                f"{name} has masked values: leave them out (.compressed()) or fill them"
            )
        return value.data
    convert = _difference if is_time else _converter(type(value))  # type: ignore[arg-type]  # a class
    if convert is None:
        return value
    if convert is _xarray and value.attrs.get("units", "") in ("", "1"):  # type: ignore[attr-defined]
        return value.values  # type: ignore[attr-defined]
    if unit is None and (match := _SUFFIX.search(name)):
        unit = match[1]
    base, factor = _UNITS[unit] if unit else (None, 1.0)
    try:
        numbers = np.asarray(convert(value, base))
    except Exception:  # each library has its own error for units that do not convert
        wanted = f"in {unit}, or in a unit that converts to it" if unit else "without a unit"
        raise TypeError(f"{name} must be {wanted}, got {reprlib.repr(value)}") from None
    if numbers.dtype.kind not in "iuf" or factor == 1.0:
        return numbers
    scaled = np.asarray(numbers / factor, dtype=np.float64)
    # 0.3 ms that came through seconds is 0.3 again
    return np.array(float(f"{scaled:.15g}")) if scaled.ndim == 0 else scaled


def without_gradient(value: Foreign) -> Foreign:
    """Return a tensor of torch without its gradient, on the CPU; anything else as it is."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def _of_entries(
    name: str, values: list[object] | tuple[object, ...], unit: str | None
) -> Sequence[object]:
    """Return a list as it is, or with its entries converted where any of them carries a unit."""
    kinds = set(map(type, values))
    if any(kind in (list, tuple) or _converter(kind) is not None for kind in kinds):
        return [plain(name, value, unit) for value in values]
    return values


@lru_cache
def _converter(kind: type) -> Converter | None:
    """Return how values of a type become numbers in a unit without prefix; None: it has none."""
    if issubclass(kind, np.timedelta64 | np.datetime64):
        return _difference
    for ancestor in kind.__mro__:
        convert = _CONVERTERS.get(ancestor.__module__.partition(".")[0])
        if convert is not None:
            return convert
    return None


def _brian2(value: Foreign, base: str | None) -> Foreign:
    names = ("metre", "kilogram", "second", "ampere", "kelvin", "mole", "candle")
    dimensions = tuple(value.dim.get_dimension(name) for name in names)
    if dimensions != (*_DIMENSIONS[base], 0, 0, 0):
        raise TypeError
    # a view of a group's variable, such as `monitor.t`, or the numbers in SI units
    return np.array(value[:] if value.ndim else value)


def _quantities(value: Foreign, base: str | None) -> Foreign:
    return value.rescale(base or "dimensionless").magnitude


def _pint(value: Foreign, base: str | None) -> Foreign:
    return value.to(base or "dimensionless").magnitude


def _astropy(value: Foreign, base: str | None) -> Foreign:
    return value.to_value(base or "")


def _pynapple(value: Foreign, base: str | None) -> Foreign:
    if base == "s" and hasattr(
        value, "values"
    ):  # a series of values, whose times are another thing
        raise TypeError
    return value.t if base == "s" else value.values


def _xarray(value: Foreign, base: str | None) -> Foreign:
    """Convert by the unit that netCDF files keep in the attribute `units`."""
    unit = value.attrs["units"]
    its_base, factor = _UNITS[_NAMES.get(unit, unit)]
    if its_base != base:
        raise TypeError
    return value.values * factor


def _difference(value: Foreign, base: str | None) -> Foreign:
    if base != "s" or np.asarray(value).dtype.kind == "M":  # a date is no time since the start
        raise TypeError
    return np.asarray(value, dtype="m8[ns]") / np.timedelta64(1, "s")


_CONVERTERS: dict[str, Converter] = {
    "datetime": _difference,
    "brian2": _brian2,
    "quantities": _quantities,
    "pint": _pint,
    "astropy": _astropy,
    "unyt": _astropy,
    "pynapple": _pynapple,
    "xarray": _xarray,
}
