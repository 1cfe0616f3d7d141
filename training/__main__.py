"""``python -m training RECIPE``: train the network of training/RECIPE.toml, or go on with it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from training.recipes import DATA, HERE, build_trainer, read_recipe


def train(name: str, data: Path, runs: Path, device: str) -> None:
    """Train a recipe to its end, and before it the one that it starts from; what is finished already is not done again."""
    recipe = read_recipe(name)
    if "start_from" in recipe:
        train(recipe["start_from"], data, runs, device)
    runs.mkdir(parents=True, exist_ok=True)
    trainer = build_trainer(recipe, data, runs, name, device)
    start, log = trainer.step, runs / f"{name}.jsonl"
    for progress in trainer.run():
        left = progress.seconds / (progress.step - start) * (progress.total - progress.step)
        scores = "  ".join(f"{noise}: {score:.2f} dB" for noise, score in progress.validation.items())
        print(f"{progress.step}/{progress.total}  loss {progress.loss:.4f}  {left / 60:.0f} min left  {scores}", flush=True)
        _append(log, progress.__dict__)
    if _last_validated(log) != trainer.step:
        # ended by force after its last checkpoint was written and before that was validated
        _append(log, {"step": trainer.step, "total": trainer.settings.steps, "validation": trainer.validate()})


def _append(log: Path, entry: dict[str, Any]) -> None:
    with log.open("a") as file:
        file.write(json.dumps({"time": time.time(), **entry}) + "\n")


def _last_validated(log: Path) -> int | None:
    """The step of a log's last validation; None if it has none."""
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return next((entry["step"] for entry in reversed(entries) if entry["validation"]), None)


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
