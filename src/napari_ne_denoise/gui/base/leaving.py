"""Leaving what is outside when a Qt object goes, also where a program takes all of them away at its end."""

import atexit
from collections.abc import Callable
from weakref import WeakMethod

from qtpy.QtCore import QObject


def leave_with(goes: QObject, leave: Callable[[], None]) -> None:
    """Call a method when a Qt object is destroyed, or before the program ends.

    A program that ends with its window open destroys timers and widgets in no order, and who then hears that one is gone finds others gone
    too.  What is registered here is called before: Qt's own was registered when Qt was imported.

    Parameters
    ----------
    goes
        With what it goes.
    leave
        A method, whose object is not kept; called once or twice.
    """
    # Qt would hold a strong reference to the object, and that may hold the one that goes: neither would ever go
    method = WeakMethod(leave)

    def call(*_: object) -> None:
        atexit.unregister(call)
        now = method()
        if now is not None:
            now()

    goes.destroyed.connect(call)
    atexit.register(call)
