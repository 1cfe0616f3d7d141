"""Which maps there are, and what they cost; needs no torch, so that a window can offer them at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

PROBES = 16  # random fields of a map that is measured with such: a relative error of 1/√(2·16) = 18 %
# of the waves that shapes are told by, in cycles a pixel; along X, between, along Y, and across that
FREQUENCIES = (0.03, 0.1, 0.3)
DIRECTIONS = (0, 45, 90, 135)  # degrees


@dataclass(frozen=True)
class MapKind:
    """What a map tells.

    Attributes
    ----------
    name
        Of the map.
    unit
        Of its values: "px", "image", "degrees", "" for plain numbers.
    meaning
        In one sentence.
    exact
        Whether it is computed, or measured with random fields, with a relative error of 1/√(2·probes).
    """

    name: str
    unit: str
    meaning: str
    exact: bool = True


MAPS: Mapping[str, MapKind] = {
    kind.name: kind
    for kind in (
        MapKind("pixels_averaged", "px", "The mean of how many pixels has as little noise as this pixel.", False),
        MapKind("residual_noise", "image", "Standard deviation of the noise that is left in this pixel.", False),
        MapKind("self_weight", "", "Weight of the noisy pixel in its own result: 1 is untouched, 0 is made of its neighbours.", False),
        MapKind("displacement", "px", "How far a slope in brightness comes out displaced here."),
        MapKind("resolution", "px", "Period of the finest stripes that keep half of their contrast here, over all directions."),
        MapKind("width", "px", "Full width at half maximum of the Gaussian filter that blurs as this pixel's filter does."),
        MapKind("elongation", "", "Longer over shorter axis of that Gaussian: 1 is round."),
        MapKind("orientation", "degrees", "Direction of its longer axis, along which more is averaged: 0 along X, 90 along Y."),
    )
}

# maps that are told by the contrast of waves: one of them costs as much as all
OF_WAVES = ("resolution", "width", "elongation", "orientation")


def passes(names: Collection[str], probes: int = PROBES) -> int:
    """How many fields are multiplied with the Jacobian for these maps; each costs about what denoising costs in float32."""
    probed = probes * sum(not MAPS[name].exact for name in names)
    waves = 2 * len(FREQUENCIES) * len(DIRECTIONS) if set(OF_WAVES) & set(names) else 0
    return probed + waves + 2 * ("displacement" in names)
