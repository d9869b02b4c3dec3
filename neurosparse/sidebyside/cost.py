"""Cost of sparsity: the error of each network over its share of active units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurosparse.report import Panel
from neurosparse.sidebyside.results import NetworkRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = (
    "Each line is the course of one network, a dot an epoch: its error on the validation images"
    " over the share of its hidden units that are active for an image. The ring is the epoch whose"
    " weights were kept. A dashed line is a network that was steered to its share; the others"
    " were left to find theirs. The table has the error on the test images."
)


def panel(networks: Mapping[str, NetworkRun], colours: Mapping[str, str]) -> Panel:
    """Return the part of the page that sets error against activity."""
    return Panel(
        "cost",
        "Error over the share of active units",
        _CAPTION,
        lambda ax: draw(networks.values(), colours, ax),
        section="cost",
        table=[_row(network) for network in networks.values()],
    )


def course(history: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float]]:
    """Return epoch -> (share of active units, validation error), layers by their units.

    Examples
    --------
    >>> one = {"epoch": 1, "validation_error": 0.2, "active_fraction": 0.1, "n_units": 30}
    >>> course([one, one | {"active_fraction": 0.5, "n_units": 10}])
    {1: (0.2, 0.2)}
    """
    epochs: dict[int, list[Mapping[str, Any]]] = {}
    for row in history:
        epochs.setdefault(row["epoch"], []).append(row)
    return {
        epoch: (
            sum(row["active_fraction"] * row["n_units"] for row in rows)
            / sum(row["n_units"] for row in rows),
            rows[0]["validation_error"],
        )
        for epoch, rows in epochs.items()
    }


def draw(networks: Iterable[NetworkRun], colours: Mapping[str, str], ax: Axes) -> Axes:
    """Draw the course of each network from epoch 1 on, and ring the epoch that was kept."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for network in networks:
        shown = {e: at for e, at in course(network.history).items() if e}
        shares, errors = ([100 * at[k] for at in shown.values()] for k in (0, 1))
        steered = network.steered_to is not None
        name = f"{network.title} (steered)" if steered else network.title
        colour = colours[network.title]
        ax.plot(
            shares,
            errors,
            ls="--" if steered else "-",
            lw=1.2,
            marker="o",
            ms=3,
            color=colour,
            label=name,
        )
        if network.best_epoch in shown:
            share, error = shown[network.best_epoch]
            ax.plot([100 * share], [100 * error], "o", mfc="none", mew=2, ms=11, color=colour)
    ax.set(
        xscale="log",
        xlabel="active units (%)",
        ylabel="validation error (%)",
        title="What sparsity costs",
    )
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="best")
    return ax


def _row(network: NetworkRun) -> dict[str, object]:
    whole = network.wholes[0]
    error = whole.provenance.get("test error")
    steered = network.steered_to
    return {
        "network": network.title,
        "active units (%)": 100 * whole.active_fraction,
        "of units that live (%)": 100
        * whole.active_fraction
        * (whole.n_units / whole.n_alive if whole.n_alive else 0.0),
        "test error (%)": None if error is None else f"{100 * error:.1f}",
        "share": "found" if steered is None else f"steered to {100 * steered:.3g} %",
        "epoch kept": network.best_epoch,
        "epochs": max(row["epoch"] for row in network.history),
    }
