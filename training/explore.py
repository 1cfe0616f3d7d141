"""``python -m training.explore [NAME ...]``: train variants shortly and alike, and print what each costs and reaches.

A short training does not tell how good a variant becomes, but which of two of about the same cost is worth a long one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from napari_ne_denoise.core.networks import DenoisingNetwork
from training.recipes import DATA, HERE, build_network, build_trainer, merged, read_recipe


def _shape(*channels: int, blocks: int = 2, scale: int = 2) -> dict[str, Any]:
    return {"network": {"channels": list(channels), "blocks": blocks, "scale": scale}}


# what each changes in the recipe `explore`
VARIANTS: dict[str, dict[str, Any]] = {
    "32-64-128, 2 blocks": _shape(32, 64, 128),
    "the same with Adam": _shape(32, 64, 128) | {"training": {"optimizer": "adam", "learning_rate": 1e-3}},
    "32-64-128, 1 block": _shape(32, 64, 128, blocks=1),
    "32-64-128, 3 blocks": _shape(32, 64, 128, blocks=3),
    "48-96-192, 1 block": _shape(48, 96, 192, blocks=1),
    "48-96-192, 2 blocks": _shape(48, 96, 192),
    "32-96-192, 2 blocks": _shape(32, 96, 192),
    "32-64-128-256, 1 block": _shape(32, 64, 128, 256, blocks=1),
    "32-64-128-256, 2 blocks": _shape(32, 64, 128, 256),
    "64-128, 2 blocks": _shape(64, 128),
    "64-128-256 on 4×4 pixels, 2 blocks": _shape(64, 128, 256, scale=4),
    "16-32-64-128 on single pixels, 2 blocks": _shape(16, 32, 64, 128, scale=1),
}
IMAGE_SIDE = 1024


def explore(name: str, data: Path, runs: Path) -> dict[str, Any]:
    """Train one variant to its end, if that was not done before, and measure it."""
    recipe = merged(read_recipe("explore"), VARIANTS[name])
    trainer = build_trainer(recipe, data, runs, f"explore {name}", "cpu")
    for progress in trainer.run(validate_every=trainer.settings.steps):
        print(f"{name}: {progress.step}/{progress.total}  loss {progress.loss:.4f}  {progress.seconds:.0f} s", flush=True)
    return {"parameters": parameters(trainer.trained()), "steps": trainer.step, **trainer.validate()}


def parameters(network: DenoisingNetwork) -> int:
    """How many numbers are learned."""
    return sum(weight.numel() for weight in network.parameters())


@torch.inference_mode()
def seconds_per_megapixel(name: str, calls: int = 5) -> float:
    """Of one thread in float32, on a square image."""
    network = build_network(merged(read_recipe("explore"), VARIANTS[name])["network"]).for_inference()
    image = torch.randn(1, 1, IMAGE_SIDE, IMAGE_SIDE)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - start)
    return median(times) / IMAGE_SIDE**2 * 1e6


def main() -> None:
    """Parse, train, print a table."""
    parser = argparse.ArgumentParser(prog="python -m training.explore", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(VARIANTS), help="some of: " + "; ".join(VARIANTS))
    parser.add_argument("--data", type=Path, default=DATA, help="folder with files.csv, or a pack")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where results go")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: explore(name, given.data, given.runs) for name in given.names}
    noises = [key for key in next(iter(found.values())) if key not in ("parameters", "steps")]
    print("| variant | parameters | s/MPix | " + " | ".join(noises) + " |")
    print("|---|---" + "|---" * (len(noises) + 1) + "|")
    for name, scores in found.items():
        cells = " | ".join(f"{scores[noise]:.2f}" for noise in noises)
        print(f"| {name} | {scores['parameters'] / 1e6:.2f} M | {seconds_per_megapixel(name):.2f} | {cells} |")


if __name__ == "__main__":
    main()
