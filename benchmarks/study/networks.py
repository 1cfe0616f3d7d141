"""The networks of the study: what four trainings left behind, and whether they may be compared."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core.networks import DenoisingNetwork
from training.recipes import build_network, read_recipe

# what each is called in tables and figures
TITLES = {
    "ordinary": "ordinary",
    "scale-equiv": "scale-equiv",
    "norm-equiv": "norm-equiv",
    "wne": "ordinary + WNE",
}
# what of a checkpoint is the network itself; all the rest says how it was trained
_LEARNED = frozenset({"config", "network", "averaged", "trained", "optimizer"})
# what of a recipe's network makes the law; all the rest is its size
_LAW = frozenset({"mode", "normalized"})


class StudyError(Exception):
    """The study would compare what cannot be compared, or has nothing to show."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One network of the study.

    Attributes
    ----------
    name
        A key of `TITLES`.
    network
        In the published form, with its trained weights.
    training
        How it was trained: what has to be the same for all.
    sha256
        Of its checkpoint.
    """

    name: str
    network: DenoisingNetwork
    training: dict[str, Any]
    sha256: str

    @cached_property
    def in_float64(self) -> DenoisingNetwork:
        """The published form, through which gradients flow."""
        return copy.deepcopy(self.network).double()

    @cached_property
    def _ready(self) -> DenoisingNetwork:
        return self.network.for_inference()

    @torch.inference_mode()
    def denoise(self, image: np.ndarray) -> np.ndarray:
        """The bare network on a whole image (Y, X) with a range of 0 to 1, in float32; no shift and no scale is chosen for it."""
        output: np.ndarray = self._ready(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
        return output

    @torch.inference_mode()
    def denoise_exactly(self, image: np.ndarray) -> np.ndarray:
        """As `denoise`, in float64."""
        output: np.ndarray = self.in_float64(torch.from_numpy(np.array(image, np.float64))[None, None])[0, 0].numpy()
        return output


def open_variants(runs: Path) -> list[Variant]:
    """The four networks, from a folder of checkpoints.

    Raises
    ------
    StudyError
        If one is missing or unfinished, is not the network of its recipe, or was trained in another way than the others.
    """
    paths = {name: runs / f"sigma25-{name}.pt" for name in TITLES}
    if missing := [path for path in paths.values() if not path.is_file()]:
        commands = "; ".join(f"python -m training {path.stem}" for path in missing)
        raise StudyError(f"{', '.join(map(str, missing))}: no such checkpoint; train first: {commands}")
    variants = [open_variant(name, path) for name, path in paths.items()]
    _refuse_unlike(variants, paths)
    return variants


def open_variant(name: str, path: Path) -> Variant:
    """One of them; its weights must be those of its recipe, and finished."""
    recipe = read_recipe(path.stem)
    network = build_network(recipe["network"])
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != network.config:
        raise StudyError(
            f"{path}: is of a network {state['config']}, and training/{path.stem}.toml names {network.config}; "
            f"move it away and train again: python -m training {path.stem}"
        )
    planned = state["settings"]["steps"]
    if state["step"] < planned:
        raise StudyError(f"{path}: has done {state['step']} of {planned} steps; let it finish: python -m training {path.stem}")
    network.load_state_dict(state["trained"])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Variant(name, network.eval().requires_grad_(False), _training_of(state, recipe), sha256)


def _training_of(state: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """All that could differ from training to training, the law left out."""
    said = {key: value for key, value in state.items() if key not in _LEARNED}
    size = {key: value for key, value in recipe["network"].items() if key not in _LAW}
    return {**said.pop("settings"), **said, "network": size, "data": recipe["data"]}


def _flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Entries of tables in tables, by names such as "degradation.sigma"."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found.update(_flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value})
    return found


def _refuse_unlike(variants: Sequence[Variant], paths: dict[str, Path]) -> None:
    first, *others = variants
    expected = _flat(first.training)
    for other in others:
        found = _flat(other.training)
        unlike = [key for key in expected | found if expected.get(key) != found.get(key)]
        if unlike:
            said = "; ".join(f"{key}: {expected.get(key)} and {found.get(key)}" for key in unlike)
            raise StudyError(
                f"{paths[first.name]} and {paths[other.name]} were not trained alike ({said}), and may differ in their law only; "
                "train one of them again."
            )
