"""Ending a computation between two layers of a network, when whoever asked for it no longer wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import nn

_here = threading.local()

Piece = TypeVar("Piece")


class Interrupted(BaseException):
    """The computation was ended on request.  No error: nothing that handles errors may catch it."""


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let what this thread computes raise `Interrupted`, within one layer of a network, once `stop` is set.

    What is around it goes on counting too.  No generator may yield inside: use `interruptibly`.
    """
    before = _stops()
    _here.stops = (*before, stop)
    try:
        yield
    finally:
        _here.stops = before


def interruptibly(stop: threading.Event, work: Iterator[Piece]) -> Iterator[Piece]:
    """What some work gives, piece by piece, each computed as `interruptible`; none is begun once `stop` is set.

    Between two pieces nothing is interruptible by it: neither what the thread does with a piece, nor another thread that closes it.
    """
    while True:
        with interruptible(stop):
            check_if_wanted()
            try:
                piece = next(work)
            except StopIteration:
                return
        yield piece


def check_if_wanted(*_: object) -> None:
    """Raise `Interrupted` if this thread's work is no longer wanted."""
    if any(stop.is_set() for stop in _stops()):
        raise Interrupted


def _stops() -> tuple[threading.Event, ...]:
    """Whatever ends what this thread computes."""
    stops: tuple[threading.Event, ...] = getattr(_here, "stops", ())
    return stops


def check_between_layers(network: nn.Module) -> None:
    """Make each layer of a network look, before it computes, whether it is still wanted."""
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(check_if_wanted)
