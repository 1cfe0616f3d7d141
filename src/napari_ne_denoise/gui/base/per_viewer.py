"""What there is one of for each viewer, whichever docks are open."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari.viewer import Viewer

_Kind = TypeVar("_Kind")
_there: "WeakKeyDictionary[Viewer, dict[Any, Any]]" = WeakKeyDictionary()


def one_of(kind: "Callable[[Viewer], _Kind]", viewer: "Viewer") -> _Kind:
    """The one of a class for a viewer; made when it is first asked for, and kept until `forget` or the end of the viewer.

    It is made with the viewer itself, not with a proxy of napari's, and must hold it by a weak reference only.
    """
    itself = _itself(viewer)
    there: dict[Any, _Kind] = _there.setdefault(itself, {})
    if kind not in there:
        there[kind] = kind(itself)
    return there[kind]


def forget(kind: "Callable[[Viewer], Any]", viewer: "Viewer") -> None:
    """Let another one be made when it is asked for again."""
    _there.get(_itself(viewer), {}).pop(kind, None)


def _itself(viewer: "Viewer") -> "Viewer":
    """The viewer behind the proxy that napari hands to plugins, each time another one."""
    itself: Viewer = getattr(viewer, "__wrapped__", viewer)
    return itself
