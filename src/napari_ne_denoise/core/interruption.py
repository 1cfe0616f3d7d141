"""Ending a computation between two layers of a network, when whoever asked for it no longer wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_here = threading.local()


class Interrupted(BaseException):
    """The computation was ended on request.  No error: nothing that handles errors may catch it."""


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let what this thread computes raise `Interrupted`, within one layer of a network, once `stop` is set."""
    before = getattr(_here, "stop", None)
    _here.stop = stop
    try:
        yield
    finally:
        _here.stop = before


def check_if_wanted(*_: object) -> None:
    """Raise `Interrupted` if this thread's work is no longer wanted."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise Interrupted


def check_between_layers(network: nn.Module) -> None:
    """Make each layer of a network look, before it computes, whether it is still wanted."""
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(check_if_wanted)
