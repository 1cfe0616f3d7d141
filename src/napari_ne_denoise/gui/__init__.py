"""The window: the only place that imports napari, magicgui and Qt, and the only one that touches layers."""
