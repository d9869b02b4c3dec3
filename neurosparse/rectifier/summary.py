"""Trained networks side by side in a table of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from neurosparse import data, recipes
from neurosparse.progress import Progress, part_of, quiet
from neurosparse.rectifier import devices
from neurosparse.rectifier.history import Epoch, TrainResult
from neurosparse.rectifier.specs import TrainSpec
from neurosparse.rectifier.training import train

PAPERS_NETWORKS = ("rectifier", "rectifier_l1", "sigmoid")


def train_recipes(
    names: Iterable[str] = PAPERS_NETWORKS,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = quiet,
) -> dict[str, TrainResult]:
    """Train the networks of recipes one after another, as the recipes have them, from one seed.

    Parameters
    ----------
    names
        Names or paths of recipes of the kind "network".
    seed
        Of every network.
    device
        As in `train`.
    progress
        Told how far all are together.

    Returns
    -------
    dict
        The result of each, by the name of its recipe.

    Raises
    ------
    ValueError, OSError
        As `train` and `recipes.load` do, and where two recipes have one name.
    """
    loaded = [recipes.load(name) for name in names]
    specs = {recipe.name: recipe.spec(TrainSpec, seed=seed) for recipe in loaded}
    if len(specs) < len(loaded):
        raise ValueError(
            f"recipes must have different names, got {', '.join(recipe.name for recipe in loaded)}"
        )
    where = devices.resolve(device)
    results = {}
    for k, (name, spec) in enumerate(specs.items()):
        of_one = part_of(progress, k / len(specs), (k + 1) / len(specs), name)
        results[name] = train(spec, data.load(spec.data), device=where, progress=of_one)
    return results


def table(results: dict[str, TrainResult]) -> str:
    """Return errors and activity on the validation images, at the start and at the best epoch.

    80 columns for three hidden layers.
    """
    depth = max(len(result.best.layers) for result in results.values())
    layers = [str(k + 1) for k in range(depth)]
    lines = [
        (
            f"{'':15}{'':5}{'error %':>12}  {'active %, by layer':<{5 * depth}} "
            f" {'mean output':<{6 * depth}}{'units':>7}"
        ),
        _row("network", "epoch", ("valid.", "test"), layers, layers, "alive"),
    ]
    for name, result in results.items():
        for epoch in (result.history[0], result.best):
            test = result.test_error if epoch is result.best and epoch.epoch else None
            lines.append(_epoch_row(name if epoch.epoch == 0 else "", epoch, test))
    lines.append("")
    for name, result in results.items():
        lines.append(
            f"{name}: active means abs(output) > {result.spec.active_threshold:g} for one"
            " validation image"
        )
    return "\n".join(lines)


def _epoch_row(name: str, epoch: Epoch, test_error: float | None) -> str:
    layers = epoch.layers.values()
    return _row(
        name,
        str(epoch.epoch),
        (
            f"{100 * epoch.validation_error:.1f}",
            "" if test_error is None else f"{100 * test_error:.1f}",
        ),
        [f"{100 * layer.active_fraction:.1f}" for layer in layers],
        [f"{layer.mean_activation:.2f}" for layer in layers],
        f"{sum(layer.n_alive for layer in layers)}",
    )


def _row(
    name: str, epoch: str, errors: tuple[str, str], active: list[str], means: list[str], alive: str
) -> str:
    return (
        f"{name:<15}{epoch:>5}{errors[0]:>7}{errors[1]:>5}  "
        + "".join(f"{a:>5}" for a in active)
        + "  "
        + "".join(f"{m:>6}" for m in means)
        + f"{alive:>7}"
    ).rstrip()
