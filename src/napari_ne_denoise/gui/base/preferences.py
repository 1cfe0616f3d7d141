"""What is remembered from one session to the next: napari's own plugin preferences, which its dialog shows too."""

from collections.abc import Mapping
from typing import Any

from napari.settings import get_plugin_settings
from pydantic import ValidationError

from napari_ne_denoise.core.provenance import KEY


def remembered() -> dict[str, Any]:
    """The preferences of the Denoise dock, by name; nothing where napari does not know the plugin, as in a script."""
    section = _section()
    return {} if section is None else dict(section.model_dump())


def remember(choices: Mapping[str, Any]) -> None:
    """Keep these preferences; those that napari does not accept stay as they were."""
    section = _section()
    if section is None:
        return
    known = section.model_dump()
    for name, value in choices.items():
        if name in known and known[name] != value:
            try:
                setattr(section, name, value)
            except (ValidationError, ValueError):
                continue


def _section() -> Any:
    try:
        return get_plugin_settings(KEY).denoise  # type: ignore[attr-defined]  # made from napari.yaml
    except (KeyError, AttributeError):
        return None
