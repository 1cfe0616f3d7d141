"""``python -m training.ship RECIPE``: put the trained weights of a recipe, with their card, into the package.

The card is training/RECIPE.card.json (what cannot be computed), completed with the recipes, the steps done, and the scores that
the log and the last full run of ``python -m benchmarks quality`` hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.ours import models_to_compare, weights_hash
from benchmarks.report import load
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import ARCHITECTURES, read_model, write_model
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER
from napari_ne_denoise.core.networks import DenoisingNetwork
from training.recipes import HERE, read_recipe


def ship(recipe_name: str, runs: Path, dtype: Literal["float16"] | None = None) -> Path:
    """Write the packaged weight file of a recipe, in `dtype` as `write_model` has it, and its hash in models.toml."""
    state = torch.load(runs / f"{recipe_name}.pt", map_location="cpu", weights_only=True)
    network = trained_network(recipe_name, state)
    written = json.loads((HERE / f"{recipe_name}.card.json").read_text())
    log = [json.loads(line) for line in (runs / f"{recipe_name}.jsonl").read_text().splitlines()]
    validation = next((entry["validation"] for entry in reversed(log) if entry["validation"]), {})
    card = ModelCard(
        name=recipe_name,
        summary=written["summary"],
        licence="BSD-3-Clause",
        source=written["source"],
        training={**written["training"], "recipes": dict(_stages(recipe_name)), "steps_done": state["step"]},
        began_from=state.get("began_from", {}),
        scores={"validation, dB for a peak of 1": {name: round(score, 2) for name, score in validation.items()}},
        limits=tuple(written["limits"]),
    )
    path = PACKAGE_FOLDER / f"{recipe_name}.safetensors"
    write_model(network, card, path, dtype)
    # the benchmark measured what is read back, which `dtype` may have rounded
    measured = measured_scores(recipe_name, weights_hash(read_model(path).network))
    write_model(network, replace(card, scores={**card.scores, "PSNR in dB, by `python -m benchmarks quality`": measured}), path, dtype)
    _write_hash(path)
    return path


def measured_scores(name: str, weights: str) -> dict[str, float]:
    """What the last full run of `python -m benchmarks quality` found for a model, by set.

    Parameters
    ----------
    name
        Of the model.
    weights
        Their hash; scores of other weights do not count.

    Returns
    -------
    dict
        PSNR in dB; empty, and said on stderr, if these weights were not measured.
    """
    report = load("quality")
    if report is None or report.weights.get(name) != weights:
        command = " ".join(["python -m benchmarks quality", *dict.fromkeys([*models_to_compare(), name])])
        print(
            f"ship: {name}: the last full run of the benchmark had no such weights; measure them and ship again: {command}", file=sys.stderr
        )
        return {}
    tables = [table for table in report.tables if name in table.columns and table.columns[0] == "PSNR, dB"]
    # some cells have the worst image in brackets behind the mean
    return {row[0]: float(row[table.columns.index(name)].split()[0]) for table in tables for row in table.rows}


def trained_network(recipe_name: str, state: dict[str, Any]) -> DenoisingNetwork:
    """The network of a recipe with the weights of its checkpoint."""
    wanted = read_recipe(recipe_name)["network"]
    if wanted.get("normalized"):
        raise SystemExit(f"{recipe_name}: is a network in a wrapper (WNE), which weight files cannot name; ship a network without one.")
    network = ARCHITECTURES[wanted["architecture"]](**state["config"])
    network.load_state_dict(state["trained"])
    return network


def _stages(recipe_name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A recipe, and those that it starts from."""
    recipe = read_recipe(recipe_name)
    yield recipe_name, recipe
    if "start_from" in recipe:
        yield from _stages(recipe["start_from"])


def _write_hash(path: Path) -> None:
    table = PACKAGE_FOLDER / "models.toml"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    pattern = rf'(file = "{re.escape(path.name)}"\nsha256 = ")[^"]*'
    text, count = re.subn(pattern, rf"\g<1>{sha256}", table.read_text())
    if count != 1:
        raise SystemExit(f"{table}: no row with file = {path.name!r} followed by sha256; add one first.")
    # what half precision costs was measured of other weights
    row = text.index(f'file = "{path.name}"')
    end = text.find("[[model]]", row) if "[[model]]" in text[row:] else len(text)
    text = text[:row] + re.sub(r"half_errors = .*\n", "", text[row:end]) + text[end:]
    table.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--dtype", choices=["float16"], help="store weights in half the bytes  [default: as they are]")
    given = parser.parse_args()
    print(ship(given.recipe, given.runs, given.dtype))
