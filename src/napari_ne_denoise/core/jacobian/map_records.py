"""The record of how a map was made; it travels in layer metadata and in files, as that of a result does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from napari_ne_denoise.core.jacobian.kinds import DEFAULT_STRIPES, MAPS, OF_NOISE, PROBES, Stripes
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.provenance import KEY, package_version

STABILISED = "Of the image with its noise made the same at every brightness, as the network saw it."


def map_record(
    name: str,
    *,
    model: str,
    strength: float,
    noises: Sequence[NoiseModel] = (),
    stabilised: bool = False,
    stripes: Stripes = DEFAULT_STRIPES,
    probes: int = PROBES,
    seed: int = 0,
) -> dict[str, Any]:
    """Plain values that JSON can hold.

    Parameters
    ----------
    name
        Of the map.
    model, strength, stripes, probes, seed
        That it was made with.
    noises
        Of the channels, as far as the map counts on them.
    stabilised
        Whether the network saw noise that was made the same at every brightness.
    """
    kind = MAPS[name]
    return {
        "program": KEY,
        "version": package_version(KEY),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "map": name,
        "meaning": meaning_of(name, stabilised),
        "unit": kind.unit,
        "model": model,
        "strength": strength,
        **({} if kind.exact else {"probes": probes, "seed": seed}),
        **({"noise": [noise.as_record() for noise in noises]} if name in OF_NOISE else {}),
        **({"period": stripes.period, "direction": stripes.direction} if name == "contrast" else {}),
        **({"stabilised": True} if stabilised else {}),
    }


def meaning_of(name: str, stabilised: bool = False) -> str:
    """What a map tells, in a sentence or two."""
    in_image_units = MAPS[name].unit == "image"
    return f"{MAPS[name].meaning} {STABILISED}" if stabilised and not in_image_units else MAPS[name].meaning
