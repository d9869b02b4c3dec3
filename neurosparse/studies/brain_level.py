"""Cost of being as sparse as a brain: 4, 2 and 1 % active units, and a dense network.

A study of rectifier networks.

Fashion-MNIST, 55,000 / 5,000 / 10,000 images, 784-1000-1000-1000-10, minibatch 10. The plan,
written before a test score was read:

1. Arms share their seeds: the same initial weights and order of images. A dense arm, and one for
   each target of active units.
2. Settings are chosen on validation images alone, for the dense arm too. Test scores are stored
   with each network and are first read when all networks of all arms are trained.
3. A network's training time is the CPU time of its thread; an arm's is the mean over its seeds, as
   a share of the dense arm's. A sparse arm's epochs are chosen so that it stays below 1.
4. Every network is that of its last step, its weights averaged over the last quarter of the
   training.
5. A modular arm ("x 2") has two networks, trained apart from seeds of their own, as one whose
   scores are the mean of theirs: a wider network without connections between its halves. Width and
   epochs are such that its active multiply-accumulates and its training time, of both modules
   together, stay below those of the dense arm. A dense network in two modules stands beside it.
6. An arm of moved images ("moved") has some of its training images moved by a pixel, anew in each
   epoch, the dense arm among them. One of augmented images ("aug") has half of them mirrored too.
   How often is chosen for each arm on validation images, with the epochs within the time of the
   dense arm. "short" arms have the epochs and the images of the moved dense one.
7. Reported for each arm, whatever it says: test error and negative log-likelihood (NLL); units
   alive and active by layer; active multiply-accumulates; training time. Error and NLL are compared
   with the dense arm of the study, paired by seed, with 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neurosparse.progress import Progress, quiet
from neurosparse.rectifier.specs import AugmentationSpec, NetworkSpec, TrainSpec
from neurosparse.studies import brain_level_results as results
from neurosparse.studies.runs import ROTATIONS, TrainingRun, done_in, finish, run_all

DENSE = TrainSpec(
    data="fashion_mnist", epochs=20, learning_rate=0.05, learning_rate_end=0.002, average_last=0.25
)  # of the default network


def _network(width: int) -> NetworkSpec:
    return NetworkSpec(sizes=(784, width, width, width, 10))


def _sparse(active: float | tuple[float, ...], epochs: int, width: int = 1000) -> TrainSpec:
    """Return settings for the share `active` of units, on average or a layer, at this `width`."""
    return DENSE.model_copy(
        update={
            "network": _network(width),
            "epochs": epochs,
            "learning_rate": 0.03,
            "target_active": active,
            "target_falloff": 0.6,
            "target_start": 0.2,
            "target_reached": 0.3,
        }
    )


def _moved(spec: TrainSpec, shifted: float, flipped: float = 0.0) -> TrainSpec:
    """Return settings for the share `shifted` of the images moved and `flipped` mirrored.

    They move by at most a pixel along each axis.
    """
    augmentation = AugmentationSpec(shifted=shifted, flipped=flipped)
    return spec.model_copy(update={"learning_rate": 0.03, "augmentation": augmentation})


PLAIN = (
    TrainingRun("dense", DENSE),
    TrainingRun("4 %", _sparse(0.04, 32)),
    TrainingRun("2 %", _sparse(0.02, 36)),
    TrainingRun("1 %", _sparse(0.01, 40)),
)
# two modules for the training time and multiply-accumulates of the dense arm; and what dense
# modules do
MODULES = (
    PLAIN[0],
    TrainingRun("4 % x 2", _sparse(0.04, 20, width=940), modules=2),
    TrainingRun("2 % x 2", _sparse(0.02, 23), modules=2),
    TrainingRun("1 % x 2", _sparse((0.012, 0.009, 0.009), 28), modules=2),
    TrainingRun("dense x 2", DENSE.model_copy(update={"network": _network(620)}), modules=2),
)
# images moved; within the training time and multiply-accumulates of the dense arm; and what dense
# modules do
MOVED = (
    TrainingRun("dense moved", _moved(DENSE, 0.3)),
    TrainingRun("4 % moved", _moved(_sparse(0.04, 38), 0.75)),
    TrainingRun("2 % x 2 moved", _moved(_sparse(0.02, 34), 0.4), modules=2),
    TrainingRun("1 % x 2 moved", _moved(_sparse((0.0125, 0.0095, 0.008), 36), 0.3), modules=2),
    TrainingRun("dense x 2 moved", _moved(MODULES[-1].spec, 0.3), modules=2),
)
SHORT = (  # the images and the epochs of the dense arm
    MOVED[0],
    *(TrainingRun(f"{p} % short", _moved(_sparse(p / 100, DENSE.epochs), 0.3)) for p in (4, 2, 1)),
)
MIRRORED = (  # moved and half of them mirrored: what mirrors cost
    TrainingRun("dense aug", _moved(DENSE.model_copy(update={"epochs": 16}), 0.3, flipped=0.5)),
    TrainingRun("4 % aug", _moved(_sparse(0.04, 36), 0.5, flipped=0.5)),
    TrainingRun("2 % aug", _moved(_sparse(0.02, 46), 0.5, flipped=0.5)),
    TrainingRun("1 % aug", _moved(_sparse(0.01, 49), 0.3, flipped=0.5)),
)


def _from_10(arm: str, spec: TrainSpec) -> TrainingRun:
    """Return an arm whose units start active for 10 % of the images, where its target starts."""
    spec = _moved(spec, 0.75).model_copy(update={"target_start": 0.1})
    return TrainingRun(f"{arm} moved", spec, start_active=0.1)


# what helped transformers; epochs within the time of the dense arm, and more for 1 %
FROM_10 = (
    MOVED[0],
    _from_10("4 % from 10", _sparse(0.04, 50)),
    _from_10("2 % from 10", _sparse(0.02, 60)),
    _from_10("1 % from 10", _sparse(0.01, 70)),
    _from_10("1 % from 10, long,", _sparse(0.01, 150)),
)


def _smoothed(run: TrainingRun) -> TrainingRun:
    return replace(run, spec=run.spec.model_copy(update={"label_smoothing": 0.1}))


# the best of the trials, twice as long and in equal time, with every image as a test image; the
# plan is in docs/findings/brain_level.md
ROTATED = tuple(
    _smoothed(run)
    for run in (
        TrainingRun("dense 40 moved", _moved(DENSE.model_copy(update={"epochs": 40}), 0.5)),
        _from_10("4 % 80", _sparse(0.04, 80)),
        _from_10("2 % 90", _sparse(0.02, 90)),
        _from_10("1 % 100", _sparse(0.01, 100)),
    )
)
STUDIES = {
    "moved": MOVED,
    "plain": PLAIN,
    "modules": MODULES,
    "short": SHORT,
    "mirrored": MIRRORED,
    "rotated": ROTATED,
    "from_10": FROM_10,
}


def run(
    directory: str | Path,
    *,
    study: str = "moved",
    seeds: Sequence[int] = tuple(range(10)),
    quick: bool = False,
    threads: int = 1,
    images: str = "test",
    done: str | Path | None = None,
    progress: Progress = quiet,
) -> str:
    """Train what is missing in `directory/runs` and write the study into `directory/study`.

    It holds `runs.parquet`, `table.md` and `brain_level.png`.

    Parameters
    ----------
    directory
        Where runs and study are kept.
    study
        One of `STUDIES`: arms, of which the first is dense and the others are compared with it.
    seeds
        Of the networks; arms share them.
    quick
        The 5,000 digits and 300 units a layer instead: to see that it runs, not to learn from.
    threads
        Networks at once.
    images
        "test" or, while settings are chosen, "validation": whose errors are shown.
    done
        A `runs.parquet` of networks that are trained: they are not trained again.
    progress
        Told how far the study is.

    Returns
    -------
    str
        The table.

    Raises
    ------
    ValueError, OSError
        On an unknown study or other images, no seeds, images that are not there, a file that is
        no `runs.parquet`, and a directory that cannot be written.
    """
    if study not in STUDIES:
        raise ValueError(f"no study {study!r}; there are: {', '.join(STUDIES)}")
    if not seeds:
        raise ValueError("seeds is empty: nothing to train")
    if images not in ("test", "validation"):
        raise ValueError(f"images must be 'test' or 'validation', got {images!r}")
    if study == "rotated" and images != "test":
        raise ValueError("in the study 'rotated' every image is a test image: leave images out")
    directory, known = Path(directory), done_in(done)
    rotations = range(ROTATIONS) if study == "rotated" else (None,)
    todo = [
        replace(_seeded(arm, seed, quick), rotation=rotation)
        for seed in seeds
        for rotation in rotations
        for arm in STUDIES[study]
    ]
    rows = run_all(todo, directory / "runs", done=known, threads=threads, progress=progress)
    images_of = "rotated" if study == "rotated" else images
    text = results.table(rows, images_of)
    finish(rows, text, directory / study)
    results.figure(rows, directory / study / "brain_level.png", images_of)
    return text


def _seeded(run: TrainingRun, seed: int, quick: bool) -> TrainingRun:
    spec = _quick(run.spec) if quick else run.spec
    return replace(run, spec=spec.model_copy(update={"seed": seed}))


def _quick(spec: TrainSpec) -> TrainSpec:
    widths = (round(0.3 * width) for width in spec.network.sizes[1:-1])
    return spec.model_copy(
        update={"network": NetworkSpec(sizes=(784, *widths, 10)), "data": "mnist5k"}
    )
