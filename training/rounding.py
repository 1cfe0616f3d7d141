"""``python -m training.rounding RECIPE --data DATA``: what storing weights in float16 costs, on validation images."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.noise.suite import validation_images
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.metrics import psnr
from napari_ne_denoise.core.networks import DenoisingNetwork
from training.recipes import HERE
from training.ship import trained_network

SIGMAS = (0.02, 0.1, 0.3)


def main(recipe: str, runs: Path, data: Path) -> None:
    """Print PSNR of the weights as trained less that of the packaged ones, for each noise."""
    state = torch.load(runs / f"{recipe}.pt", map_location="cpu", weights_only=True)
    trained, packaged = (network.for_inference() for network in (trained_network(recipe, state), load_denoiser(recipe).network))
    clean = validation_images(data)
    for sigma in SIGMAS:
        costs = [_score(trained, x, sigma, seed) - _score(packaged, x, sigma, seed) for seed, x in enumerate(clean)]
        print(f"{recipe}, σ = {sigma}: mean {np.mean(costs):.5f} dB, largest {np.max(np.abs(costs)):.5f} dB, of {len(costs)} images")


@torch.inference_mode()
def _score(network: DenoisingNetwork, clean: np.ndarray, sigma: float, seed: int) -> float:
    noisy = clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape)
    return psnr(network(torch.from_numpy(noisy.astype(np.float32))[None, None])[0, 0].double().numpy(), clean, 1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m training.rounding", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    main(given.recipe, given.runs, given.data)
