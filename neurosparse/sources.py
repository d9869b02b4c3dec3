"""Whatever one wants to compare, as statistics.

Results of runs, spike files, recordings, trained networks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from neurosparse._internal import checks
from neurosparse._internal import whole_files as files
from neurosparse._internal.types import FieldsView
from neurosparse.activity import WHOLE, ActiveWhen, ActivityStats
from neurosparse.comparison import Comparison
from neurosparse.comparison import files as saved
from neurosparse.measurement import measure
from neurosparse.sparsity import log_normal as distributions


def read(
    source: str | Path,
    *,
    window_ms: float = 10.0,
    threshold: float = 0.0,
    how: FieldsView | None = None,
) -> tuple[ActivityStats, ...]:
    """Return the statistics of one source.

    Parameters
    ----------
    source
        A folder that `neurosparse compare`, `simulate` or `measure --out` wrote, or the
        comparison.json in it: what was measured then. A file or folder of spikes, whatever
        `recordings.read` reads. Weights that `neurosparse train` wrote (.safetensors): measured on
        the test data of their training; all hidden units of a rectifier network as one layer, each
        block of a transformer by itself.
    window_ms, threshold
        What active means for spikes and for activations that are measured now.
    how
        For spikes: what `recordings.read` is told, such as {"duration_s": 10.0}.

    Raises
    ------
    ValueError, OSError
        Where there is no such thing, or it is damaged; one sentence.
    """
    window, above = ActiveWhen(window_ms=window_ms), ActiveWhen(threshold=threshold)
    path = checks.path("source", source)
    if path.name == saved.NUMBERS or (path / saved.NUMBERS).is_file():
        return saved.read(path.parent if path.name == saved.NUMBERS else path)[1]
    if ":" in str(source) and not path.exists():
        raise ValueError(
            f"{source} names a network, which needs inputs to be measured on: run `neurosparse"
            f" measure {source} --data SET_OR_FILE --out FOLDER`, then compare that folder"
        )
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}")
    if path.suffix == ".safetensors":
        return _network(path, above)
    from neurosparse import recordings

    recording = recordings.read(path, **(how or {}))
    return (
        measure(
            recording.spikes, active_when=window, name=path.stem, provenance=recording.provenance
        ),
    )


def read_all(
    sources: Sequence[str | Path],
    *,
    window_ms: float = 10.0,
    threshold: float = 0.0,
    only: Collection[str] = (),
    how: FieldsView | None = None,
) -> list[ActivityStats]:
    """Return the statistics of several sources.

    All cells of a circuit, and those of its populations, are called by the source: "mine", "mine:
    E". So is any name that two sources have.

    Parameters
    ----------
    sources
        Of each, see `read`.
    window_ms
        See `read`.
    threshold
        See `read`.
    only
        The names to keep: those of the result, or of a source, such as "E". "all" is the whole of
        each source: of a circuit without its populations. All names where empty.
    how
        What `recordings.read` is told of all that hold spikes. What says how a file is parsed goes
        to those files that leave it open.

    Raises
    ------
    ValueError, OSError
        As `read`, where nothing has a name that is asked for, and where no source takes what is
        told.
    """
    given = [str(source) for source in sources]
    if twice := [source for k, source in enumerate(given) if source in given[:k]]:
        raise ValueError(f"{twice[0]} is given twice: leave it out once")
    told = {name: value for name, value in (how or {}).items() if value not in (None, (), [])}
    for name in told:
        if not any(name in _takes(source) for source in sources):
            option = name.replace("_", "-")
            raise ValueError(f"none of {', '.join(map(str, sources))} takes {name} (--{option})")
    of_source = {
        label: read(
            s,
            window_ms=window_ms,
            threshold=threshold,
            how={name: value for name, value in told.items() if name in _takes(s)},
        )
        for label, s in zip(_labels(sources), sources, strict=True)
    }
    found = _named_apart(of_source)
    if missing := set(only) - {name for names, _ in found for name in names}:
        there = ", ".join(dict.fromkeys(names[-1] for names, _ in found))
        raise ValueError(f"none is called {min(missing)!r}; there are: {there}")
    return [
        replace(stats, name=names[-1])
        for names, stats in found
        if not only or not set(names).isdisjoint(only)
    ]


def _named_apart(
    of_source: Mapping[str, Sequence[ActivityStats]],
) -> list[tuple[list[str], ActivityStats]]:
    """Return what all sources hold, each with the names by which it can be asked for.

    The last of them is that by which it is told apart from the others. What is all that its source
    holds is the whole of it.
    """
    own = [stats.name for held in of_source.values() for stats in held]
    found = []
    for label, held in of_source.items():
        in_parts = any(stats.name == WHOLE for stats in held)
        for stats in held:
            names = [WHOLE] if len(held) == 1 else []
            names.append(stats.name)
            if in_parts or own.count(stats.name) > 1:
                names.append(f"{label}: {stats.name}".removesuffix(f": {WHOLE}"))
            found.append((names, stats))
    return found


def _takes(source: str | Path) -> frozenset[str]:
    """Return what can be told of how a source is read; nothing of results and networks."""
    path = Path(source)
    if path.name == saved.NUMBERS or (path / saved.NUMBERS).is_file():
        return frozenset()
    if path.suffix == ".safetensors":
        return frozenset()
    from neurosparse import recordings

    return recordings.takes(path)


def _labels(sources: Sequence[str | Path]) -> list[str]:
    """Return what each source is called: its stem, or its path where two have one stem."""
    stems = [_label(source) for source in sources]
    return [
        stem if stems.count(stem) == 1 else str(source)
        for stem, source in zip(stems, sources, strict=True)
    ]


def _label(source: str | Path) -> str:
    path = Path(source)
    return path.parent.name if path.name == saved.NUMBERS else path.stem


def _network(path: Path, active_when: ActiveWhen) -> tuple[ActivityStats, ...]:
    from neurosparse import data, rectifier, trained
    from neurosparse.rectifier.weights import load_training_spec

    if trained.is_transformer(path):
        found = trained.read(path)
        provenance = {"weights": str(path), "data": found.data, **found.sparsity}
        layers = measure(
            found.network, found.inputs, active_when=active_when, provenance=provenance
        )
        return tuple(replace(s, name=f"{path.stem}: {name}") for name, s in layers.items())
    trained.check_own(path)
    network, training = rectifier.load(path), load_training_spec(path)
    if training is None:
        raise ValueError(
            f"{path} does not say what it was trained on: measure it with `neurosparse measure"
            f" {path} --data ... --out FOLDER`, then compare that folder"
        )
    record = rectifier.record_whole(
        network, data.load(training.data).test.mixed(), active_when, name=path.stem
    )
    return (
        measure(
            record, provenance={"weights": str(path), "data": training.data, **training.sparsity}
        ),
    )


def write(comparison: Comparison, directory: str | Path) -> Path:
    """Write a comparison of sources into `directory` and return the path of its page.

    The directory appears whole or not at all.
    """
    from neurosparse import plots, report

    firing, networks = [s for s in comparison.circuits if s.n_spikes], comparison.networks
    panels, colours = [], plots.colours(comparison)
    if firing:
        panels.append(
            report.Panel(
                "rates",
                "How often a unit fires",
                "Mean firing rates over the units on a log axis. Lines: log-normal distributions of"
                " the same log mean and spread.",
                lambda ax: plots.rate_histogram(firing, ax, colours=colours),
            )
        )
    if networks:
        panels.append(
            report.Panel(
                "units",
                "How often a unit is active",
                "The share of the samples for which a unit is active: inputs, or their positions"
                " and tokens.",
                lambda ax: plots.activation_histogram(networks, ax, colours=colours),
            )
        )
    panels.append(
        report.Panel(
            "beyond_the_mean",
            "Beyond the mean",
            "Effective units: the participation ratio of a sample, the number of units that share"
            " its activity. Dimension: that of the covariance between units. Population and"
            " lifetime: Treves-Rolls sparseness over units at one time, and over time within a"
            " unit; low is sparse. Then the spread of rates or magnitudes over units, and whether"
            " they may be log-normal: no where they are told apart from it at 5 %.",
            table=[distributions.row(s) for s in comparison.stats],
        )
    )
    with files.new_folder(checks.path("directory", directory)) as folder:
        report.write(comparison, folder, panels)
    return Path(directory) / report.PAGE
