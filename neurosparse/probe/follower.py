"""A model that is listened to pass by pass: by following all functions, or by hooks once it may."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from neurosparse._internal.names import in_words
from neurosparse._internal.types import FieldsView
from neurosparse.activity import ActiveWhen
from neurosparse.probe import heard
from neurosparse.probe.flow import Key
from neurosparse.probe.known_pass import Blocks, KnownPass, PlainLook, blocks_noted
from neurosparse.probe.looks import Look
from neurosparse.probe.nonlinear import Monitor, monitoring
from neurosparse.probe.pass_counts import PassCounts
from neurosparse.probe.passes import Pass
from neurosparse.probe.tokens import inputs_by_name, tokens_in

BELOW = (
    "of {!r} only the last layer is watched: with dropout between its layers the others cannot be"
    " had in training"
)


class Follower:
    """Listens to one pass at a time, and learns what passes do.

    Attributes
    ----------
    varies
        What the model computes differs from pass to pass.
    is_lost
        Not all that a pass did was counted, so the next step is to be looked at. To be set back by
        who reads it.
    has_failed
        Something went wrong in a look. To be set back as well.
    unheard
        What the first pass lacks, in words.
    said
        Other sentences on what is not counted.
    """

    def __init__(
        self, model: nn.Module, active_when: ActiveWhen, layers: Sequence[str] | None
    ) -> None:
        self.varies = self.is_lost = self.has_failed = False
        self.unheard, self.said = "", dict[str, None]()
        self._model, self._active_when, self._layers = model, active_when, layers
        self._known: KnownPass | None = None
        self._keys: dict[str, set[Key]] = {}  # of the layers heard so far, by their names
        self._listening = ExitStack()
        self._has_ended_one = False
        # of the pass under way
        self._counts: PassCounts | None = None
        self._plain: PlainLook | None = None
        self._monitor: Monitor | None = None
        self._blocks: Blocks = {}

    def begin(
        self,
        begun: Pass,
        args: tuple[Any, ...],
        kwargs: FieldsView | None,
        *,
        in_full: bool,
        counts_now: Callable[[], bool],
    ) -> None:
        """Listen to a pass.

        Parameters
        ----------
        begun
            The pass.
        args, kwargs
            What the model is called with.
        in_full
            Follow all functions, also where hooks would do.
        counts_now
            Asked at each layer: passes within may not count, such as one that finds layers.
        """
        with self._spared():
            self._begin(begun, args, kwargs or {}, in_full=in_full, counts_now=counts_now)

    def _begin(
        self,
        begun: Pass,
        args: tuple[Any, ...],
        kwargs: FieldsView,
        *,
        in_full: bool,
        counts_now: Callable[[], bool],
    ) -> None:
        tokens = tokens_in(self._model, inputs_by_name(self._model, args, kwargs))
        self._counts = counts = PassCounts(self._active_when, (args, kwargs), tokens)
        self._blocks = self._listening.enter_context(blocks_noted(self._model))

        def if_it_counts(count: Callable[..., None]) -> Callable[..., None]:
            return lambda *given: count(*given) if counts_now() else None

        if self._known is not None and tokens is None and not in_full:
            self._plain = PlainLook(
                self._known, if_it_counts(counts.count), if_it_counts(counts.count_list)
            )
            self._listening.enter_context(self._plain.hooked())
            return
        is_block = begun.call is None
        self._monitor = self._listening.enter_context(
            monitoring(
                self._model,
                if_it_counts(counts.hear),
                self._layers,
                asks=False,
                spares=True,
                with_root=is_block,
            )
        )
        self._monitor.looks_for_zeros, self._monitor.is_open = False, is_block
        self._monitor.caller = begun.caller
        if args or kwargs:
            self._monitor.begin((args, kwargs), tokens)

    def end(self, output: object, look: Look, *, broken_off: bool) -> None:
        """Stop listening, and add to a look what was counted, unless the pass was broken off.

        Parameters
        ----------
        output
            What the model put out, None where that is not known.
        look
            That of the step.
        broken_off
            The pass did not come to its end.
        """
        self._listening.close()
        counts, monitor, plain, blocks = self._counts, self._monitor, self._plain, self._blocks
        self._counts, self._monitor, self._plain, self._blocks = None, None, None, {}
        if counts is None or broken_off:
            return
        with self._spared():
            if counts.failure is not None:
                raise counts.failure
            if monitor is not None:
                self._read(monitor, counts, look)
            counts.end()
            look.add(counts)
            self.said |= dict.fromkeys(counts.notes)
            if output is not None and not counts.has_mask and not self.varies:
                self._learn(counts, plain, output, blocks)

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Spare the training what goes wrong here: the look is left out, and this is said."""
        try:
            yield
        except Exception as error:
            self._listening.close()
            self._counts = self._monitor = self._plain = None
            self.said[f"a look was left out: {in_words(error)}"] = None
            self.has_failed = True

    def _read(self, monitor: Monitor, counts: PassCounts, look: Look) -> None:
        """Note what following a pass has shown."""
        if monitor.failure is not None:
            raise monitor.failure
        counts.leave_out(monitor.loose - monitor.flow.taken)
        look.order |= monitor.flow.order
        self.said |= {BELOW.format(name): None for name in sorted(monitor.not_had)}
        if not self._has_ended_one:
            self._has_ended_one = True
            self.unheard = heard.unheard(self._model, self._layers, monitor.final_names())
            if self.unheard:
                warnings.warn(self.unheard, stacklevel=2)

    def _learn(
        self, counts: PassCounts, plain: PlainLook | None, output: object, blocks: Blocks
    ) -> None:
        """Note what a pass that was followed has shown, and whether one by hooks did the same."""
        if plain is not None:
            self.varies = self.is_lost = not plain.agrees(output, blocks)
        elif counts.heard:
            shared = [layer for layer in counts.heard if self._is_shared(layer.key)]
            found = None if shared else KnownPass.of(self._model, counts.heard, output, blocks)
            self.varies = self._known is not None and not self._known.is_like(found)
            self._known = found
        if self.varies:
            self._known = None

    def _is_shared(self, key: Key) -> bool:
        """Return whether another layer had the same name, which hooks on modules cannot tell."""
        keys = self._keys.setdefault(key.name, set())
        keys.add(key.anywhere)
        return len(keys) > 1
