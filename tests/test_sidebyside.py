"""The main job's parts; tests/test_cli.py runs the whole of it."""

import numpy as np
import pytest

from neurosparse import data, recipes, sidebyside
from neurosparse.sidebyside import running


def test_the_spiking_twin_sees_every_class() -> None:
    """The digits come one class after the other, so the first 500 would be of half the classes."""
    test = data.load("mnist5k").test
    shown = running._some(test, 500, seed=1)
    class_of = {
        image.tobytes(): label for image, label in zip(test.images, test.labels, strict=True)
    }
    classes = [int(class_of[image.tobytes()]) for image in shown]
    assert np.bincount(classes[:100], minlength=10).min() > 0
    assert len({image.tobytes() for image in shown}) == len(shown) == 500
    np.testing.assert_array_equal(shown, running._some(test, 500, seed=1))


def test_findings_that_are_none_are_refused_before_any_work(tmp_path) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "claims.json").write_text("{}")
    spec = recipes.build(sidebyside.SideBySideSpec, {"claims": tmp_path / "claims"}, what="compare")
    with pytest.raises(ValueError, match="was not written by `neurosparse claims`"):
        sidebyside.check(spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()
