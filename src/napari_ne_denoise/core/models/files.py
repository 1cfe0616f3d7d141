"""Weight files, read and written without pickle's dangers: safetensors of ours, and published ``.pth`` files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_ne_denoise.core.errors import ModelError
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.registry import ModelRow
from napari_ne_denoise.core.networks import DenoisingNetwork, DRUNet, FDnCNN, ShuffleUNet
from napari_ne_denoise.core.networks.layers import MODES

ARCHITECTURES: dict[str, type[DenoisingNetwork]] = {"ShuffleUNet": ShuffleUNet, "FDnCNN": FDnCNN, "DRUNet": DRUNet}


@dataclass(frozen=True)
class ModelFile:
    """An opened weight file.

    Attributes
    ----------
    network
        With its weights, in evaluation mode, on the CPU.
    card
        What is said of it.
    sha256
        Of the file.
    """

    network: DenoisingNetwork
    card: ModelCard
    sha256: str


def write_model(network: DenoisingNetwork, card: ModelCard, path: Path) -> None:
    """Write weights, architecture and card as one safetensors file, under a temporary name that is then moved."""
    metadata = {"architecture": type(network).__name__, "config": json.dumps(network.config), "card": json.dumps(asdict(card))}
    temporary = path.with_name(path.name + ".part")
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, temporary, metadata)
    temporary.chmod(0o644)  # save_file keeps its files to their owner; a wheel must not
    os.replace(temporary, path)


def read_model(path: Path, mode: str | None = None) -> ModelFile:
    """Open a weight file.

    Parameters
    ----------
    path
        A ``.safetensors`` file written by `write_model`, or a published ``.pth`` file of the paper.
    mode
        Of a published FDnCNN, whose file does not tell "scale-equiv" from "norm-equiv".  None takes it from the file's name.

    Raises
    ------
    ModelError
        If the file is missing or is not what it claims to be; nothing in it is ever executed.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the name of a registered model or the path of a .safetensors or .pth file.")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".safetensors":
        network, card = _read_safetensors(path)
    elif path.suffix in (".pth", ".pt"):
        network, card = _read_published(path, mode)
    else:
        raise ModelError(f"{path}: weight files end in .safetensors or .pth; this one ends in {path.suffix or 'nothing'}.")
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ModelError(f"{path}: holds weights that are not finite numbers; the file is damaged, get it again.")
    return ModelFile(network.eval().requires_grad_(False), card, sha256)


def _read_safetensors(path: Path) -> tuple[DenoisingNetwork, ModelCard]:
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        architecture, config, card = metadata["architecture"], json.loads(metadata["config"]), json.loads(metadata["card"])
        with torch.device("meta"):  # no memory is taken for what a file claims, only for what it holds
            network = ARCHITECTURES[architecture](**config)
        described = ModelCard(**{**card, "name": str(card["name"]), "limits": tuple(card.get("limits", ()))})
    except SafetensorError as error:
        raise ModelError(f"{path}: is no intact safetensors file ({error}); get it again.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise ModelError(f"{path}: is a safetensors file, but does not name a network of this package ({error!r}).") from error
    _load(network, state, path)
    return network, described


def _read_published(path: Path, mode: str | None) -> tuple[DenoisingNetwork, ModelCard]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged or dangerous files; each is a reason to refuse
        raise ModelError(f"{path}: cannot be opened as a weight file ({_first_line(error)}); nothing in it was executed.") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: holds no table of weights; expected the state_dict of a published FDnCNN or DRUNet.")
    with torch.device("meta"):
        network = _network_for(state, path, mode)
    _load(network, state, path)
    return network, ModelCard(name=path.stem, summary=f"{type(network).__name__}, {network.equivariance}", source=str(path))


def _network_for(state: dict[str, Tensor], path: Path, mode: str | None) -> DenoisingNetwork:
    first = state.get("fdncnn.0.weight", state.get("m_head.weight"))
    if first is None or first.ndim != 4:
        raise ModelError(f"{path}: has neither fdncnn.0.weight nor m_head.weight; expected the state_dict of a published FDnCNN or DRUNet.")
    arguments: dict[str, Any] = {"blind": first.shape[1] == 1}
    try:
        if "m_head.weight" in state:
            levels = [first.shape[0], *(state[key].shape[0] for key in _numbered(state, r"m_down\.\d+\.\d+\.weight"))]
            blocks = len(_numbered(state, r"m_body\.\d+\.m_res\.0\.weight"))
            return DRUNet(_mode_of_drunet(state), channels=levels, blocks=blocks, **arguments)
        depth = len(_numbered(state, r"fdncnn\.\d+\.weight"))
        return FDnCNN(_mode_of_fdncnn(state, path, mode), channels=first.shape[0], depth=depth, **arguments)
    except (RuntimeError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: its weights have shapes no FDnCNN or DRUNet has ({_first_line(error)}).") from error


def _mode_of_drunet(state: dict[str, Tensor]) -> str:
    if "res.0.alpha" in state:
        return "norm-equiv"
    return "ordinary" if "m_head.bias" in state else "scale-equiv"


def _mode_of_fdncnn(state: dict[str, Tensor], path: Path, mode: str | None) -> str:
    if "fdncnn.0.bias" in state:
        return "ordinary"
    if mode is not None:
        return mode
    named = [candidate for candidate in MODES if candidate in path.stem.replace("_", "-")]
    if len(named) != 1:
        raise ModelError(
            f"{path}: scale-equiv and norm-equiv FDnCNN files look alike inside, and this file's name does not say which it is; "
            f'give mode="norm-equiv" or mode="scale-equiv", or keep the published name.'
        )
    return named[0]


def _numbered(state: dict[str, Tensor], pattern: str) -> list[str]:
    return sorted((key for key in state if re.fullmatch(pattern, key)), key=lambda key: [int(part) for part in re.findall(r"\d+", key)])


def _load(network: DenoisingNetwork, state: dict[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights do not fit {type(network).__name__} ({_first_line(error)}).") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def registered(opened: ModelFile, row: ModelRow) -> ModelFile:
    """The same file with what its row in the registry says."""
    return replace(opened, card=replace(opened.card, name=row.name, half_errors=opened.card.half_errors or row.half_errors))
