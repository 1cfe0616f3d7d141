"""``python -m training RECIPE``: train the network of training/RECIPE.toml, or go on with it."""

from __future__ import annotations

import argparse
import json
import time
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


def train(name: str, data: Path, runs: Path, device: str) -> None:
    """Train a recipe to its end, and before it the one that it starts from; what is finished already is not done again."""
    recipe = read_recipe(name)
    if "start_from" in recipe:
        train(recipe["start_from"], data, runs, device)
    runs.mkdir(parents=True, exist_ok=True)
    trainer = build_trainer(recipe, data, runs, name, device)
    start = trainer.step
    with (runs / f"{name}.jsonl").open("a") as log:
        for progress in trainer.run():
            left = progress.seconds / (progress.step - start) * (progress.total - progress.step)
            scores = "  ".join(f"{noise}: {score:.2f} dB" for noise, score in progress.validation.items())
            print(f"{progress.step}/{progress.total}  loss {progress.loss:.4f}  {left / 60:.0f} min left  {scores}", flush=True)
            log.write(json.dumps({"time": time.time(), **progress.__dict__}) + "\n")
            log.flush()


def main() -> None:
    """Parse, train, print."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipe", help="name of a file in training/, without .toml")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with files.csv, or a pack")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where checkpoints and logs go")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="how many CPU cores to compute on  [default: all]")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    train(given.recipe, given.data, given.runs, given.device)


if __name__ == "__main__":
    main()
