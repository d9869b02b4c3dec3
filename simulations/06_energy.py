"""How many neurons can a budget of ATP keep active at once?

Question: what mean rate, and what share of active neurons in either reading, do the two energy
budgets allow?

Source: Attwell & Laughlin 2001 (rodent grey matter, 3.29e9 ATP/s a neuron); Lennie 2003 (human
cortex, 0.16 spikes/s of 2.4e9 ATP).

Expected: 4.0 Hz, of which 3.9 % fire in 10 ms; 0.16 Hz, of which 0.16 % do. A share of 1-4 % takes
windows of 63 to 255 ms at Lennie's rate, or active neurons that fire at 16 to 4 Hz. So it takes an
assumption next to the budget, and the source of the 1-4 % names none.

Run time: 1 s.
"""

from neurosparse import energy
from neurosparse._internal import share


def main(
    window_ms: float = 10.0, rate_while_active_hz: float = 50.0
) -> dict[str, energy.Allowance]:
    """Print what each budget allows, and what it takes to read 1-4 % from it."""
    supplies = {"attwell2001": (3.29e9, "all"), "lennie2003": (0.16 * 2.4e9, "spikes")}
    allowed = {}
    for key, (supply, covers) in supplies.items():
        a = energy.allowance(
            supply, key, window_ms=window_ms, rate_while_active_hz=rate_while_active_hz, covers=covers  # noqa: E501
        )  # fmt: skip
        windows = [energy.window_ms_for(a.mean_rate_hz, f) for f in (0.01, 0.04)]
        rates = [energy.rate_while_active_hz(a.mean_rate_hz, f) for f in (0.01, 0.04)]
        print(f"{a.budget.source} ({a.budget.label}), {supply:.3g} ATP/s a neuron for {covers}")
        print(
            f"  mean rate {a.mean_rate_hz:.2f} Hz: {100 * a.active_in_window:.2g} % fire in"
            f" {window_ms:g} ms,"
        )
        print(
            f"  or {100 * a.duty_fraction:.2g} % are active at {rate_while_active_hz:g} Hz and the"
            " others silent;"
        )
        print(
            f"  1-4 % in windows of {windows[0]:.3g} to {windows[1]:.3g} ms, or at {rates[0]:.3g}"
            f" to {rates[1]:.3g} Hz."
        )
        allowed[key] = a
    return allowed


if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    main()
