"""Docks that others open."""

from typing import TYPE_CHECKING, Any

from npe2 import PluginManager

from napari_ne_denoise.core.provenance import KEY

if TYPE_CHECKING:
    from napari.viewer import Viewer


def open_dock(viewer: "Viewer", title: str, tabify: bool = False) -> Any:
    """Open a dock of ours, or find the one that is open, under the name that napari's menus give it.

    napari's own `add_plugin_dock_widget` gives it another, so that the menu would open a second one.

    Parameters
    ----------
    viewer
        Where.
    title
        As napari.yaml calls it, such as "Denoise".
    tabify
        Whether a new one becomes a tab of the dock there is.
    """
    manifest = PluginManager.instance().get_manifest(KEY)
    name = f"{title} ({manifest.display_name})"
    there = viewer.window.dock_widgets
    if name in there:
        dock = there[name].native.parent()
        dock.show()
        dock.raise_()
        return there[name]
    contribution = next(widget for widget in manifest.contributions.widgets or () if widget.display_name == title)
    widget = contribution.get_callable()(viewer)
    viewer.window.add_dock_widget(widget, name=name, tabify=tabify).raise_()
    return widget
