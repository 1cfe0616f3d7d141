"""What is said of a model: where it comes from, what it was trained on, how well it does, where it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelCard:
    """The card of one weight file.

    Attributes
    ----------
    name
        Registered name, or the file's.
    summary
        One sentence for a menu.
    licence
        Of the weights.
    source
        Where they come from.
    training
        Data, degradation, seed, steps, hardware; empty where it is not known.
    began_from
        "name" and "sha256" of the weights that training began from, as `files.weights_to_begin_from` gives them; empty where it began from
        random ones, or where that is not known.
    scores
        Measured figures, by name.
    limits
        What it does badly.
    half_errors
        What half precision costs, measured: by dtype, the root-mean-square error as a share of an image's standard deviation.
        Where nothing was measured, or the model is not norm-equiv, half precision is taken only by those who ask for it.
    gaussian_only
        Whether it was trained with noise that is the same at every brightness and with no other, so that ``noise="auto"`` makes it so.
    """

    name: str
    summary: str = ""
    licence: str = "not stated"
    source: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    began_from: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    half_errors: dict[str, float] = field(default_factory=dict)
    gaussian_only: bool = False
