"""What is said of a model: where it comes from, what it was trained on, how well it does, where it fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


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

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The card in a weight file, which anybody may have written.

        Raises
        ------
        TypeError, ValueError, KeyError
            If a value is of another kind than it must be, or one is unknown.
        """
        card = cls(**{**record, "name": record["name"], "limits": tuple(record.get("limits", ()))})
        texts = (card.name, card.summary, card.licence, card.source, *card.limits, *card.began_from, *card.began_from.values())
        tables = (card.training, card.scores, card.half_errors)
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(table, dict) for table in tables):
            raise TypeError("a value of its card is neither text nor table, and should be")
        if not all(isinstance(error, float) and math.isfinite(error) and error >= 0 for error in card.half_errors.values()):
            raise ValueError(f"half_errors of its card are {card.half_errors}")
        if not isinstance(card.gaussian_only, bool):
            raise TypeError("gaussian_only of its card is neither true nor false")
        return card
