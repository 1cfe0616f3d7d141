"""Options that several commands have, each worded once."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from napari_ne_denoise.core.errors import SettingsError, one_line

Model = Annotated[str, typer.Option(help="Name of a model, or path of a weight file.")]
BlindModel = Annotated[str, typer.Option(help="Name of a blind model, or path of a weight file.")]
Axes = Annotated[str | None, typer.Option(help="A letter for each axis, such as TCZYX.  [default: as the file says]")]
ChannelAxis = Annotated[int | None, typer.Option(help="Number of the axis that holds channels.")]
Series = Annotated[int, typer.Option(help="Which image, of a file that holds several.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]

# of commands that look into a denoising
Sigma = Annotated[float | None, typer.Option(help="Noise standard deviation in image units, for models that need it.  [default: found]")]
NoiseAsInDenoise = Annotated[str, typer.Option(help="As in denoise: auto, none, poisson-gaussian, self-calibrated, or a profile.")]
StrengthAsInDenoise = Annotated[float, typer.Option(help="As in denoise: 0 to 1.")]
HotPixelsAsInDenoise = Annotated[str, typer.Option(help="As in denoise: keep or repair.")]


def noise_of(text: str) -> str | dict[str, Any]:
    """The record of noise that was written out, else what was given."""
    if not text.startswith("{"):
        return text
    try:
        record: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = f"begins like JSON and is none ({one_line(str(error))}); give a name, or the path of a profile."
        raise SettingsError(f"--noise {one_line(text)}: {said}") from error
    return record
