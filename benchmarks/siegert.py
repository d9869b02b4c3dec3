"""Siegert's rate of a million LIF cells in noise, and one scipy quadrature a cell.

    python benchmarks/siegert.py [--pairs N]

The loop is timed on 2,000 of the points and scaled up. The error is the largest compared with that
loop, where the rate is above 1e-9 Hz.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from pairs import in_turn, row, seconds, show
from scipy.integrate import quad
from scipy.special import erfcx

from neurosparse import LIF
from neurosparse.lif import siegert_rate

POINTS, SAMPLE = 1_000_000, 2_000
CELL = LIF(tau_m_ms=20.0, e_leak_mV=0.0, v_threshold_mV=20.0, v_reset_mV=10.0, t_ref_ms=2.0)


def by_quad(mu: float, sigma: float) -> float:
    """Return the rate in Hz as one writes it with scipy.

    It is 1 / (t_ref + tau sqrt(pi) int exp(u^2) (1 + erf u) du).
    """
    low, high = (CELL.v_reset_mV - mu) / sigma, (CELL.v_threshold_mV - mu) / sigma
    value = quad(lambda u: erfcx(-u), low, high, epsabs=0, epsrel=1e-11, limit=200)[0]
    return 1e3 / (CELL.t_ref_ms + CELL.tau_m_ms * np.sqrt(np.pi) * value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    mu, sigma = rng.uniform(0, 40, POINTS), rng.uniform(1, 10, POINTS)
    found = siegert_rate(mu, sigma, CELL)[:SAMPLE]
    expected = np.array([by_quad(m, s) for m, s in zip(mu[:SAMPLE], sigma[:SAMPLE], strict=True)])
    counts = expected > 1e-9
    error = float(np.abs(found[counts] / expected[counts] - 1).max())
    ours, theirs = in_turn(
        lambda: seconds(lambda: siegert_rate(mu, sigma, CELL)),
        lambda: (
            seconds(
                lambda: [by_quad(m, s) for m, s in zip(mu[:SAMPLE], sigma[:SAMPLE], strict=True)]
            )
            * POINTS
            / SAMPLE
        ),
        options.pairs,
    )
    print(f"largest relative error {error:.1e}", file=sys.stderr)
    show([
        row("siegert", "scipy quad, a loop", "s for 1e6 points", ours, theirs, ">= 1,000x"),
        row("siegert", "relative error, goal 1e-8", "largest of 2,000 points", [error], [1e-8], "< 1e-8"),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
