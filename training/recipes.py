"""Recipes: files that say how a network is made and trained, and what is put together from them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import torch

from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core import networks
from napari_ne_denoise.core.models.files import weights_to_begin_from
from napari_ne_denoise.core.networks import DenoisingNetwork
from napari_ne_denoise.core.training.dataset import CropSampler, read_clean_images, synthetic_images
from napari_ne_denoise.core.training.degradation import Degradation
from napari_ne_denoise.core.training.trainer import Trainer, TrainingSettings

VALIDATION_SEED = 2**31  # the same images for all recipes, and no recipe's own
HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"


def read_recipe(name: str) -> dict[str, Any]:
    """The settings of training/NAME.toml, on top of those of the recipe that it is `like`."""
    recipe = tomllib.loads((HERE / f"{name}.toml").read_text())
    return merged(read_recipe(recipe.pop("like")), recipe) if "like" in recipe else recipe


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with some of them replaced, table by table."""
    both = {
        key: merged(settings[key], value) if isinstance(value, dict) and isinstance(settings.get(key), dict) else value
        for key, value in changes.items()
    }
    return {**settings, **both}


def build_network(choices: dict[str, Any]) -> DenoisingNetwork:
    """The untrained network of a recipe's [network] table; with `normalized = true` between normalising and its undoing (WNE)."""
    settings = dict(choices)
    normalized = settings.pop("normalized", False)
    network: DenoisingNetwork = getattr(networks, settings.pop("architecture"))(**settings)
    return networks.NormalizedDenoiser(network) if normalized else network


def build_trainer(recipe: dict[str, Any], data: Path, runs: Path, name: str, device: str) -> Trainer:
    """Everything a recipe names, put together."""
    torch.manual_seed(recipe["training"]["seed"])
    network = build_network(recipe["network"])
    began_from: dict[str, str] = {}
    if "start_from" in recipe:
        finished = torch.load(runs / f"{recipe['start_from']}.pt", map_location="cpu", weights_only=True)
        network.load_state_dict(finished["trained"])
        began_from = finished.get("began_from", {})
    elif "weights" in recipe:
        network.load_state_dict(load_denoiser(recipe["weights"]).network.state_dict())
        began_from = weights_to_begin_from(recipe["weights"])
    wanted = recipe["data"]
    training, validation = read_clean_images(data, largest_grain=wanted["largest_grain"], smallest_side=wanted["smallest_side"])
    training += synthetic_images(wanted["synthetic"], recipe["training"]["seed"])
    # files that still have some grain reward a network for keeping it; made images do not
    validation += synthetic_images(8, VALIDATION_SEED)
    settings = TrainingSettings(**recipe["training"])
    degradation = Degradation(**{key: tuple(value) if isinstance(value, list) else value for key, value in recipe["degradation"].items()})
    sampler = CropSampler(training, wanted["weights"], settings.side, bent_share=wanted.get("bent_share", 0.0))
    print(f"{name}: {len(training)} training images, {len(validation)} for validation", flush=True)
    path = runs / f"{name}.pt"
    return Trainer(network, sampler, degradation, settings, path, validation=validation, device=device, began_from=began_from)
