"""Plain sentences of a comparison: of a circuit, of a network, of a band."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from neurosparse.activity import ActivityStats
from neurosparse.comparison.window_intervals import circuit_window
from neurosparse.comparison.words import band_in_words, milliseconds, percent, quoted
from neurosparse.reference import Band


def of_circuit(circuit: ActivityStats, band: Band) -> str:
    """Return the windows in which a circuit holds the shares of a band."""
    low, high = (circuit_window(circuit, fraction) for fraction in (band.low, band.high))
    share = f"the {band_in_words(band)}"
    place = (
        f"no window of the record holds {share}"
        if low is None
        else (
            f"{share} are reached from {milliseconds(low)} on"
            if high is None
            else (
                f"{share} take windows of {milliseconds(low).removesuffix(' ms')} to"
                f" {milliseconds(high)}"
            )
        )
    )
    fires = (
        f"{percent(circuit.active_fraction)} of the neurons fire in"
        f" {circuit.active_when.window_ms:g} ms"
    )
    return f"{quoted(circuit.name)}: {fires}; {place}."


def of_network(network: ActivityStats, equivalents: Mapping[str, float | None]) -> str:
    """Return how active a network is, and in which window each circuit is as active."""
    active = (
        f"{percent(network.active_fraction)} of the units are active"
        f" ({network.active_when.describe()})"
    )
    found = [(quoted(c), ms) for c, ms in equivalents.items()]
    places = [f"in {name} in {milliseconds(ms)}" for name, ms in found if ms is not None]
    if places:
        places[0] = f"as many as {places[0]}"
    places += [f"more than {name} in any window of its record" for name, ms in found if ms is None]
    name = quoted(network.name)
    if re.fullmatch(r"\d+(\.\d+)*", name):  # the place of a layer in a model looks like a share
        name = f"layer {name}"
    return f"{name}: {', '.join([active, *places])}."


def of_band(stats: Sequence[ActivityStats], band: Band) -> str:
    """Return the windows of each circuit, then the networks that are within and those not.

    The caption of the band follows.
    """
    networks = [s for s in stats if s.curve is None]
    sides = {
        side: ", ".join(quoted(n.name) for n in networks if (n.active_fraction in band) is is_in)
        for side, is_in in (("within", True), ("not", False))
    }
    found = [
        *(_windows_of(s, band) for s in stats if s.curve is not None),
        *(f"{side}: {those}" for side, those in sides.items() if those),
    ]
    return f"{band.label}: {'; '.join(found)}. {band.caption}"


def _windows_of(circuit: ActivityStats, band: Band) -> str:
    name = quoted(circuit.name)
    low, high = circuit_window(circuit, band.low), circuit_window(circuit, band.high)
    if low is None:
        return f"{name} in no window of its record"
    until = "its whole record" if high is None else milliseconds(high)
    windows = f"up to {until}" if low == 0 else f"{milliseconds(low)} to {until}"
    return f"{name} in windows of {windows}"
