"""The training loop: a generator that yields progress, checkpoints to disk and goes on where it stopped."""

from __future__ import annotations

import copy
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.networks import DenoisingNetwork
from napari_ne_denoise.core.training.dataset import CleanImage, CropSampler
from napari_ne_denoise.core.training.degradation import Degradation
from napari_ne_denoise.core.training.optimizer import WeightOptimizer


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    steps
        Updates of the weights.
    batch, side
        Crops a step, and their side in pixels.
    learning_rate
        Of the optimizer: rises over `warmup` steps, stays, and falls linearly to zero over the last `decay_share` of the steps.
    averaging
        Decay of the exponential moving average of the weights, which is what is kept.
    seed
        Of everything random; step k draws the same crops and noise however often training was interrupted.
    half
        Whether convolutions compute in bfloat16.
    optimizer
        "adam", or "muon" (see `optimizer`).
    """

    steps: int
    batch: int = 16
    side: int = 96
    learning_rate: float = 1e-3
    warmup: int = 200
    decay_share: float = 0.4
    averaging: float = 0.999
    seed: int = 0
    half: bool = True
    optimizer: str = "adam"

    def rate(self, step: int) -> float:
        """The learning rate of one step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        fall = min(1.0, (self.steps - step) / max(self.decay_share * self.steps, 1))
        return self.learning_rate * rise * fall


@dataclass(frozen=True)
class TrainingProgress:
    """Where training stands after `step` of `total` steps; `validation` maps a noise to its mean PSNR in dB, or is empty."""

    step: int
    total: int
    loss: float
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Train a network on clean images with simulated noise.

    The loss is the mean over samples of sqrt(MSE / noise variance): every sample counts alike whatever its noise, and nothing
    is gained by leaving strong noise alone.

    Parameters
    ----------
    network
        What to train.  It is trained in a cheaper form, and its own weights stay as they were; `trained` gives a copy with the new ones.
    sampler, degradation
        Clean crops, and the noise to add.
    settings
        How to train.
    checkpoint
        File to go on from and to write to; replaced in one move.
    validation
        Clean images that training never sees.
    device
        Where to compute.
    began_from
        "name" and "sha256" of the weights that `network` came with, to be kept in checkpoints.  None: random ones.
    """

    def __init__(
        self,
        network: DenoisingNetwork,
        sampler: CropSampler,
        degradation: Degradation,
        settings: TrainingSettings,
        checkpoint: Path,
        *,
        validation: list[CleanImage] | None = None,
        device: str = "cpu",
        began_from: dict[str, str] | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.published = network
        self.network = network.for_training().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval()
        self.sampler, self.degradation, self.settings = sampler, degradation, settings
        self.checkpoint, self.validation = checkpoint, validation or []
        self.optimizer = WeightOptimizer(self.network, settings.optimizer)
        self.step = 0
        self.began_from = began_from or {}
        self._first_batch = hashlib.sha256(b"".join(part.numpy().tobytes() for part in self.batch(0))).hexdigest()
        if checkpoint.exists():
            self._resume()

    def run(self, *, report_every: int = 100, validate_every: int = 2000, save_seconds: float = 300) -> Iterator[TrainingProgress]:
        """Train to the end, yielding after every `report_every` steps; the last checkpoint is written before the last yield."""
        saved = started = time.monotonic()
        losses: list[float] = []
        while self.step < self.settings.steps:
            losses.append(self._train_step())
            finished = self.step == self.settings.steps
            if finished or time.monotonic() - saved > save_seconds:
                self.save()
                saved = time.monotonic()
            if finished or self.step % report_every == 0:
                scores = self.validate() if finished or self.step % validate_every == 0 else {}
                yield TrainingProgress(self.step, self.settings.steps, float(np.mean(losses)), time.monotonic() - started, scores)
                losses.clear()

    def _train_step(self) -> float:
        clean, noisy = (tensor.to(self.device) for tensor in self.batch(self.step))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.half):
            denoised = self.network(noisy)
        loss = relative_error(denoised.float(), noisy, clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step(self.settings.rate(self.step))
        self.step += 1
        self._average()
        return float(loss.detach())

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Clean and noisy crops (N, 1, side, side) of one step; a function of the seed and the step alone."""
        rng = np.random.default_rng((self.settings.seed, step))
        crops = [self.sampler.draw(rng) for _ in range(self.settings.batch)]
        clean = np.stack([crop for crop, _ in crops])[:, None]
        noisy = np.stack([self.degradation.draw(crop, grain, rng) for crop, grain in crops])[:, None]
        return torch.from_numpy(clean), torch.from_numpy(noisy)

    @torch.no_grad()
    def _average(self) -> None:
        # short memory at first, so that the average does not remember the random start
        keep = min(self.settings.averaging, self.step / (self.step + 10))
        for mean, new in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(new, 1 - keep)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean PSNR, in dB for a peak of 1, of the averaged weights on at most 24 validation images, by noise."""
        network = copy.deepcopy(self.averaged).cpu().for_inference().to(self.device)  # its float64 is unknown to an Apple GPU
        scores: dict[str, list[float]] = {}
        for index, image in enumerate(self.validation[:: max(1, len(self.validation) // 24)][:24]):
            clean = image.pixels[:256, :256]
            rng = np.random.default_rng((7, index))
            noises = {f"gaussian {level}": clean + level * rng.standard_normal(clean.shape) for level in (0.02, 0.1, 0.3)}
            noises["poisson 20"] = rng.poisson(np.clip(clean, 0, None) * 20 + 1) / 20 - 0.05
            for width in (0.5, 0.8):
                blurred = ndimage.gaussian_filter(rng.standard_normal(clean.shape), width)
                noises[f"correlated 0.1, {width} px"] = clean + 0.1 * blurred / blurred.std()
            for name, noisy in noises.items():
                given = torch.from_numpy(noisy.astype(np.float32))[None, None].to(self.device)
                denoised = network(given).cpu().numpy()[0, 0]
                scores.setdefault(name, []).append(-10 * np.log10(np.mean((denoised - clean) ** 2)))
        return {name: float(np.mean(values)) for name, values in scores.items()}

    def trained(self) -> DenoisingNetwork:
        """The averaged weights in the published form, on the CPU."""
        network = copy.deepcopy(self.published).cpu()
        network.adopt(copy.deepcopy(self.averaged).cpu())
        return network

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then move it into place."""
        state = {
            "settings": asdict(self.settings),
            "degradation": asdict(self.degradation),
            "config": self.network.config,
            "step": self.step,
            "first_batch": self._first_batch,
            "began_from": self.began_from,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "trained": self.trained().state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".part")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["config"] != self.network.config:
            raise SettingsError(
                f"{self.checkpoint}: is of a network {state['config']}, not {self.network.config}; train into another file."
            )
        if "trained" not in state:
            raise SettingsError(
                f"{self.checkpoint}: was written by an older version that trained in another form; train into another file."
            )
        if state.get("degradation") != asdict(self.degradation):
            raise SettingsError(f"{self.checkpoint}: was trained with the noise {state.get('degradation')}; train into another file.")
        # more or fewer steps are the one thing that may be changed of mind
        before, now = ({**settings, "steps": 0} for settings in (state["settings"], asdict(self.settings)))
        if before != now:
            raise SettingsError(f"{self.checkpoint}: was trained with {before}, not {now}; train into another file.")
        if state.get("first_batch", self._first_batch) != self._first_batch:
            raise SettingsError(
                f"{self.checkpoint}: its first batch was of other numbers: other images, other shares of them, a folder in place of an "
                "older pack, or noise drawn by another version of numpy or scipy or on another kind of processor; go on with the same "
                "data on the same kind of machine, or train into another file."
            )
        self.step, self.began_from = int(state["step"]), state.get("began_from", self.began_from)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])


def relative_error(denoised: Tensor, noisy: Tensor, clean: Tensor) -> Tensor:
    """Mean over samples (N, 1, H, W) of sqrt(MSE / noise variance); 1 means that nothing was gained."""
    error = (denoised - clean).square().mean((1, 2, 3))
    noise = (noisy - clean).square().mean((1, 2, 3))
    # a dark crop may happen to get no noise at all: nothing is learnt from it
    noisy_enough = noise > 0
    ratio = torch.where(noisy_enough, error / torch.where(noisy_enough, noise, 1.0), 0.0)
    return ratio.clamp_min(1e-12).sqrt().mean()
