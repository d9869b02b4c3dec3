"""Exact zeros that nothing accounts for: what puts them out may be a layer that is not known."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from neurosparse.probe.flow import Flow
from neurosparse.probe.rectifiers import HAVE_FLOORS, KEEPS_ZEROS, makes_zeros
from neurosparse.probe.tensors import zero_share


class NotesZeros:
    """Notes of a monitor on exact zeros, where it looks for them.

    Attributes
    ----------
    with_zeros
        Outputs with exact zeros that were not counted, and their share.
    looks_for_zeros
        Whether they are looked for.
    """

    flow: Flow
    inside: list[str]
    alone: set[str]
    by_kind: set[str]
    with_zeros: dict[str, float]
    looks_for_zeros: bool

    def _zeros_before(self, kind: str, tensors: list[Tensor], output: object) -> bool | None:
        """Return whether the inputs of a function had zeros, None where nobody looks."""
        if not self.looks_for_zeros or not isinstance(output, Tensor):
            return None
        if kind in KEEPS_ZEROS:
            return True
        inputs = [(self.flow[t], t) for t in tensors]
        live = [tag for tag, _ in inputs if tag.live]
        if makes_zeros(kind):
            known = max((zero_share(t) for tag, t in inputs if tag.live), default=0.0)
            return zero_share(output) < known + 0.02
        return (
            any(tag.has_zeros for tag in live)
            or all(tag.is_test for tag in live)
            or any(
                not tag.live and not (kind in HAVE_FLOORS and zero_share(t) == 1)
                for tag, t in inputs
            )
        )

    def _note_unseen(self, tensors: Iterable[Tensor], name: str = "") -> None:
        """Note the zeros of what no function of torch has made."""
        for each in tensors if self.looks_for_zeros and self.flow.n_inputs else ():
            if each in self.flow or not each.is_floating_point() or each.numel() < 32:
                continue
            share = zero_share(each) if len(each) % self.flow.n_inputs == 0 else 0.0
            if share >= 0.1:
                place = self.inside[-1] if self.inside else ""
                shown = name or ".".join(filter(None, [place, "(no function of torch)"]))
                self.with_zeros.setdefault(shown, share)
                self.flow[each] = self.flow[each]._replace(has_zeros=True)

    def _note_tests(self, kind: str, place: str, inputs: list[Tensor]) -> None:
        """Note binary units: outcomes of a comparison that weights take as their input."""
        tags = [self.flow[each] for each in inputs]
        if not any(tag.source and not tag.live for tag in tags):
            return
        for each, tag in zip(inputs, tags, strict=True):
            is_made = tag.source is not None or tag.picked_from is not False
            if tag.is_test and is_made and (share := zero_share(each)) >= 0.1:
                self.with_zeros.setdefault(f"input of {place or kind}", share)

    def _note_zeros(self, kind: str, shown: str, output: Tensor, before: bool) -> None:
        tag = self.flow[output]
        if (
            (tag.has_zeros and not makes_zeros(kind))
            or tag.is_test
            or not output.is_floating_point()
        ):
            return
        share = zero_share(output)
        if share > 0:
            self.flow[output] = tag._replace(has_zeros=True)
        if not before and share >= 0.1 and output.numel() >= 32:
            place = self.inside[-1] if self.inside else ""
            name = shown.partition(".")[0].strip("_")
            name = (
                place
                if place in self.alone | self.by_kind and place
                else f"{place}.{name}".lstrip(".")
            )
            self.with_zeros.setdefault(name, share)
