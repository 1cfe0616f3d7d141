"""``python -m training RECIPE``: train the network of training/RECIPE.toml, or go on with it."""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from pathlib import Path

import torch

from napari_ne_denoise.core import networks
from napari_ne_denoise.core.training.dataset import CropSampler, read_clean_images, synthetic_images
from napari_ne_denoise.core.training.degradation import Degradation
from napari_ne_denoise.core.training.trainer import Trainer, TrainingSettings

HERE = Path(__file__).parent


def build_trainer(recipe: dict, data: Path, checkpoint: Path, device: str) -> Trainer:
    """Everything a recipe names, put together."""
    torch.manual_seed(recipe["training"]["seed"])
    choices = dict(recipe["network"])
    network = getattr(networks, choices.pop("architecture"))(**choices)
    wanted = recipe["data"]
    training, validation = read_clean_images(data, largest_grain=wanted["largest_grain"], smallest_side=wanted["smallest_side"])
    training += synthetic_images(wanted["synthetic"], recipe["training"]["seed"])
    # files that still have some grain reward a network for keeping it; made images do not
    validation += synthetic_images(8, recipe["training"]["seed"] + 1)
    settings = TrainingSettings(**recipe["training"])
    degradation = Degradation(**{key: tuple(value) if isinstance(value, list) else value for key, value in recipe["degradation"].items()})
    sampler = CropSampler(training, wanted["weights"], settings.side)
    print(f"{len(training)} training images, {len(validation)} for validation", flush=True)
    return Trainer(network, sampler, degradation, settings, checkpoint, validation=validation, device=device)


def main() -> None:
    """Parse, train, print."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipe", help="name of a file in training/, without .toml")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="folder with files.csv")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where checkpoints and logs go")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    recipe = tomllib.loads((HERE / f"{given.recipe}.toml").read_text())
    trainer = build_trainer(recipe, given.data, given.runs / f"{given.recipe}.pt", given.device)
    start = trainer.step
    with (given.runs / f"{given.recipe}.jsonl").open("a") as log:
        for progress in trainer.run():
            left = progress.seconds / (progress.step - start) * (progress.total - progress.step)
            scores = "  ".join(f"{name}: {score:.2f} dB" for name, score in progress.validation.items())
            print(f"{progress.step}/{progress.total}  loss {progress.loss:.4f}  {left / 60:.0f} min left  {scores}", flush=True)
            log.write(json.dumps({"time": time.time(), **progress.__dict__}) + "\n")
            log.flush()


if __name__ == "__main__":
    main()
