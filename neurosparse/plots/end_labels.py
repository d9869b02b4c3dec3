"""Labels at the ends of lines, which keep off each other at every size of the figure.

Imported where a figure is drawn, as it needs matplotlib at once.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Annotation, Text
from matplotlib.transforms import IdentityTransform

from neurosparse._internal.types import Fields
from neurosparse.plots.fitting import End, spread, wrapped
from neurosparse.plots.look import ink, scaled, small

_AWAY = 9.0  # points from the axes' edge to the labels, which the leaders take
_GAP = 2.0  # points from a leader to its label
_FIRM = 1000.0  # how much more firmly one keeps its place than others
_BETWEEN = 2.0  # points from one label to the next


class Column:
    """The labels to the right of axes, placed anew whenever they are drawn or measured."""

    def __init__(self, ax: Axes, ends: list[End], points: float) -> None:
        self._ax = ax
        self._placed: tuple[float, ...] = ()  # by what the labels were placed last
        self._labels = [EndLabel(self, ax, end, points) for end in ends]
        for label in self._labels:
            ax.add_artist(label)

    def place(self, renderer: RendererBase) -> None:
        """Put each label as near to the end of its line as the others let it be."""
        box, pixels = self._ax.bbox, float(np.asarray(renderer.points_to_pixels(1.0)))
        ends = [label.line_ends.transform(label.end) for label in self._labels]
        if (place := (*box.bounds, pixels, *np.ravel(ends))) == self._placed:
            return
        self._placed = place
        heights = [
            Text.get_window_extent(label, renderer).height + pixels * _BETWEEN
            for label in self._labels
        ]
        wanted = np.clip([y for _, y in ends], box.y0, box.y1)
        firm = [_FIRM if label.firm else 1.0 for label in self._labels]
        middles = spread(wanted, np.array(heights), box.y0, box.y1, firm)
        left = box.x1 + pixels * scaled(_AWAY)
        for label, middle, (x, y) in zip(self._labels, middles, ends, strict=True):
            label.set_position((left, middle))
            # a leader to far outside, such as to 0 on a log axis, would push the axes away
            end = (x, float(np.clip(y, box.y0, box.y1)))
            label.leader.set_positions((left - pixels * scaled(_GAP), middle), end)
            # a line that ends outside has no end to be seen
            label.leader.set_visible(bool(box.y0 - 1 <= y <= box.y1 + 1))


class EndLabel(Annotation):
    """The label of one line, with a thin line that leads to its end."""

    def __init__(self, column: Column, ax: Axes, end: End, points: float) -> None:
        self._column, self.firm = column, end.firm
        self.line_ends = ax.get_yaxis_transform() if end.x is None else ax.transData
        self.end = (1.0 if end.x is None else end.x, end.y)
        leader: Fields = {
            "arrowstyle": "-",
            "color": end.colour,
            "lw": 0.7,
            "shrinkA": 0,  # shrinking takes as long as all else of the label
            "shrinkB": 0,
        }
        super().__init__(
            wrapped(end.text, points, small()),
            self.end,
            (0, 0),
            xycoords=self.line_ends,
            textcoords=IdentityTransform(),
            arrowprops=leader,
            annotation_clip=False,
            clip_on=False,
            ha="left",
            va="center",
            fontsize=small(),
            color=ink(end.colour),
            linespacing=1.05,
        )
        # as it is once placed; axes would else take the place for one in the data
        self.set_transform(IdentityTransform())

    @property
    def leader(self) -> FancyArrowPatch:
        """The thin line."""
        assert self.arrow_patch is not None
        return self.arrow_patch

    def update_positions(self, renderer: RendererBase) -> None:
        """Place the whole column: the labels keep off each other."""
        self._column.place(renderer)
