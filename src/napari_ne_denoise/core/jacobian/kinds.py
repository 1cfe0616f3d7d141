"""Which maps there are, and what they cost; needs no torch, so that a window can offer them at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.settings import number_of

PROBES = 16  # random fields of a map that is measured with such: a relative error of up to 1/√(2·16) = 18 %
# of the waves that shapes are told by, in cycles a pixel; along X, between, along Y, and across that
FREQUENCIES = (0.03, 0.1, 0.3)
DIRECTIONS = (0.0, 45.0, 90.0, 135.0)  # degrees
LONGEST_PERIOD = 200  # pixels, of stripes whose contrast is asked for; a filter of the packaged models is not much larger


@dataclass(frozen=True)
class Stripes:
    """Whose contrast is asked for.

    Attributes
    ----------
    period
        In pixels, at least 2.
    direction
        In degrees, across the stripes: 0 is along X, 90 along Y.  None: the mean over four directions.
    """

    period: float = 6.0
    direction: float | None = None

    def __post_init__(self) -> None:
        period, direction = number_of(self.period), None if self.direction is None else number_of(self.direction)
        # written so that NaN is refused too
        if not 2 <= period <= LONGEST_PERIOD:
            raise SettingsError(f"period={self.period!r}: must be 2 to {LONGEST_PERIOD} pixels; there is nothing finer than 2.")
        if direction is not None and not -360 <= direction <= 360:
            raise SettingsError(f"direction={self.direction!r}: must be degrees, 0 along X and 90 along Y, or None for the mean over all.")
        # plain numbers: the record of a map is written as JSON
        object.__setattr__(self, "period", period)
        object.__setattr__(self, "direction", direction)

    @property
    def directions(self) -> tuple[float, ...]:
        """That the contrast is averaged over, in degrees."""
        return DIRECTIONS if self.direction is None else (self.direction,)


DEFAULT_STRIPES = Stripes()


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
        Whether it is computed, or measured with random fields, with a relative error of up to 1/√(2·probes).
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
        MapKind(
            "error",
            "image",
            "Standard deviation of this pixel's error: of the noise that is left, and of what was lost, as told by 32 pixels around.",
            False,
        ),
        MapKind("self_weight", "", "Weight of the noisy pixel in its own result: 1 is untouched, 0 is made of its neighbours.", False),
        MapKind("displacement", "px", "How far a slope in brightness comes out displaced here."),
        MapKind("contrast", "", "Share of their contrast that stripes of the chosen period keep here: 1 is all, 0 is none."),
        MapKind("resolution", "px", "Period of the finest stripes that keep half of their contrast here, over all directions."),
        MapKind("width", "px", "Full width at half maximum of the Gaussian filter that blurs as this pixel's filter does."),
        MapKind("elongation", "", "Longer over shorter axis of that Gaussian: 1 is round."),
        MapKind("orientation", "degrees", "Direction of its longer axis, along which more is averaged: 0 along X, 90 along Y."),
        MapKind("noise_level_part", "image", "What the model adds because of the noise level that it was told, beside filter times image."),
    )
}

# maps that are told by the contrast of waves: one of them costs as much as all
OF_WAVES = ("resolution", "width", "elongation", "orientation")

# maps that are told by random fields: one of them costs as much as both
OF_FIELDS = ("pixels_averaged", "self_weight")

# maps that need to know the noise of the image
OF_NOISE = ("residual_noise", "error")


def passes(names: Collection[str], probes: int = PROBES, stripes: Stripes = DEFAULT_STRIPES) -> int:
    """How many fields are multiplied with the Jacobian for these maps; each costs about what denoising costs in float32."""
    wanted = set(names)
    probed = probes * (bool(wanted & set(OF_FIELDS)) + len(wanted & set(OF_NOISE)))
    waves = 2 * len(FREQUENCIES) * len(DIRECTIONS) * bool(wanted & set(OF_WAVES))
    contrast = 2 * len(stripes.directions) * ("contrast" in wanted)
    return probed + waves + contrast + 2 * ("displacement" in wanted) + ("noise_level_part" in wanted)
