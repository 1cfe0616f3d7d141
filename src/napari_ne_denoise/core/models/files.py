"""Weight files, read and written without pickle's dangers: safetensors of ours, and published ``.pth`` files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_ne_denoise.core.errors import ModelError, SettingsError, one_line
from napari_ne_denoise.core.io import complete_or_absent
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.fetch import verify
from napari_ne_denoise.core.models.registry import ModelRow, list_models
from napari_ne_denoise.core.networks import DenoisingNetwork, DRUNet, FDnCNN, ShuffleUNet
from napari_ne_denoise.core.networks.kernels import stored_weight
from napari_ne_denoise.core.networks.layers import MODES, AffineConv2d, layers_for

ARCHITECTURES: dict[str, type[DenoisingNetwork]] = {"ShuffleUNet": ShuffleUNet, "FDnCNN": FDnCNN, "DRUNet": DRUNet}

# what a file may hold; whatever it is, it is opened as float32
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# of a network from a file: coarser levels see the whole of most images in one pixel, and cost memory for nothing
LARGEST_STRIDE = 1024  # pixels
LARGEST_SCALE = 16
# bytes of weights for a byte of a file, which holds them as they are; twice, for weights that two layers share
MOST_OF_FILE = 2
# "affine_convolutions" in the metadata of a file: what stands there in place of the weights of affine convolutions
KERNELS = "kernels"


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


def write_model(network: DenoisingNetwork, card: ModelCard, path: Path, dtype: Literal["float16"] | None = None) -> None:
    """Write weights, architecture and card as one safetensors file, under a temporary name that is then moved.

    Parameters
    ----------
    network, card
        What to write.
    path
        Where; a file that is there is replaced.
    dtype
        "float16" takes half the bytes, and rounds weights by up to 0.05 %; kernels of norm-equiv networks sum to one all the same.
        None: as they are.

    Raises
    ------
    SettingsError
        If `dtype` is another.
    ModelError
        If a weight is too large for it.
    """
    metadata = {"architecture": type(network).__name__, "config": json.dumps(network.config), "card": json.dumps(asdict(card))}
    state = network.state_dict()
    if dtype == "float16":
        metadata["affine_convolutions"] = KERNELS
        state = _halved(network, path)
    elif dtype is not None:
        raise SettingsError(f"dtype={dtype!r}: must be 'float16', for half the bytes, or None to write weights as they are.")
    with complete_or_absent(path) as temporary:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary, metadata)
        temporary.chmod(0o644)  # save_file keeps its files to their owner; a wheel must not


def _halved(network: DenoisingNetwork, path: Path) -> dict[str, Tensor]:
    """The state in float16, with kernels in place of the weights of affine convolutions.

    A kernel is made of differences of neighbouring weights.  Training in rotated coordinates lets weights become many times larger than
    these differences, so that rounding them would cost a kernel many times what rounding itself does.  Single numbers, such as the α of a
    residual, stay as they are: all of a feature map depends on each.
    """
    state = network.state_dict()
    for name, convolution in _affine_convolutions(network):
        state[f"{name}.weight"] = convolution.kernel(torch.float64).detach()
    halved = {key: value.half() if value.numel() > 1 else value for key, value in state.items()}
    for key, value in halved.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{path}: {key} has weights beyond ±65504, the largest of float16; write them with dtype=None.")
    return halved


@torch.no_grad()
def _take_kernels(network: DenoisingNetwork) -> None:
    """Undo `_halved`: set the weights whose kernels are given in their place, but for what a kernel lacks to sum to one."""
    for _, convolution in _affine_convolutions(network):
        kernel = convolution.weight.double()
        constrained = kernel[:, : convolution.in_channels - convolution.free_channels]
        # a kernel that is rounded tap by tap misses its sum by some of the last digit; no tap is to bear that alone
        constrained += (1 - constrained.sum((1, 2, 3), keepdim=True)) / constrained[0].numel()
        convolution.weight.copy_(stored_weight(kernel, convolution.free_channels))


def _affine_convolutions(network: DenoisingNetwork) -> list[tuple[str, AffineConv2d]]:
    return [(name, part) for name, part in network.named_modules() if isinstance(part, AffineConv2d)]


def weights_to_begin_from(model: str) -> dict[str, str]:
    """What the card of a model says of the weights that its training began from: "name" and "sha256".

    Parameters
    ----------
    model
        Name of a registered model whose file is on this machine, or path of a weight file.

    Raises
    ------
    DownloadError
        If the file of a registered model is not here, or was changed.
    ModelError
        If there is no such file.
    """
    row = next((row for row in list_models() if row.name == model), None)
    if row is not None:
        return {"name": model, "sha256": verify(row)}
    path = _existing(Path(model))
    return {"name": path.name, "sha256": _sha256(path)}


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
    try:
        sha256 = _sha256(_existing(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); ask for the right to it, or give another file.") from error
    if path.suffix == ".safetensors":
        network, card = _read_safetensors(path)
    elif path.suffix in (".pth", ".pt"):
        network, card = _read_published(path, mode)
    else:
        raise ModelError(f"{path}: weight files end in .safetensors or .pth; this one ends in {path.suffix or 'nothing'}.")
    if network.stride > LARGEST_STRIDE:
        raise ModelError(f"{path}: computes squares of {network.stride} pixels at least; {LARGEST_STRIDE} is the most. Give another model.")
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ModelError(f"{path}: holds weights that are not finite numbers; the file is damaged, get it again.")
    return ModelFile(network.eval().requires_grad_(False), card, sha256)


def _existing(path: Path) -> Path:
    try:
        there = path.is_file()
    except OSError:  # a name that is too long, for instance
        there = False
    if not there:
        raise ModelError(f"{path}: no such file; give the name of a registered model or the path of a .safetensors or .pth file.")
    return path


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> tuple[DenoisingNetwork, ModelCard]:
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        architecture, config, card = metadata["architecture"], json.loads(metadata["config"]), json.loads(metadata["card"])
        _check_config(config, state)
        with torch.device("meta"):  # no memory is taken for what a file claims, only for what it holds
            network = ARCHITECTURES[architecture](**config)
        described = ModelCard.from_record(card)
    except SafetensorError as error:
        raise ModelError(f"{path}: is no intact safetensors file ({error}); get it again.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, OverflowError) as error:
        why = one_line(repr(error))
        raise ModelError(f"{path}: is a safetensors file, but does not name a network of this package ({why}); give another.") from error
    _load(network, state, path)
    form = metadata.get("affine_convolutions")
    if form == KERNELS:
        _take_kernels(network)
    elif form is not None:
        raise ModelError(
            f"{path}: its affine convolutions are stored as {one_line(form)!r}, which this version does not know; update the package."
        )
    return network, described


def _read_published(path: Path, mode: str | None) -> tuple[DenoisingNetwork, ModelCard]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged or dangerous files; each is a reason to refuse
        raise ModelError(f"{path}: cannot be opened as a weight file ({_first_line(error)}); nothing in it was executed.") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: holds no table of weights; expected the state_dict of a published FDnCNN or DRUNet.")
    _check_storages(state, path)
    with torch.device("meta"):
        network = _network_for(state, path, mode)
    _load(network, state, path)
    return network, ModelCard(name=path.stem, summary=f"{type(network).__name__}, {network.equivariance}", source=str(path))


def _check_config(config: Any, state: dict[str, Tensor]) -> None:
    """Refuse a network of more layers than the file has weights: building it would take for ever."""
    numbers = {key: value for key, value in config.items() if key in ("depth", "blocks", "scale")}
    widths = config.get("channels", ())
    numbers["channels"] = len(widths) if isinstance(widths, list) else 0
    for key, value in numbers.items():
        if not isinstance(value, int) or value > max(len(state), LARGEST_SCALE):
            raise ValueError(f"{key}={value!r}, with {len(state)} weights in the file")


def _check_storages(state: dict[str, Tensor], path: Path) -> None:
    """Refuse weights that claim more numbers than the file holds, such as one number that is seen a billion times."""
    claimed, size = sum(value.numel() * value.element_size() for value in state.values()), path.stat().st_size
    if claimed > MOST_OF_FILE * size or not all(value.layout == torch.strided and not value.is_quantized for value in state.values()):
        raise ModelError(f"{path}: claims {claimed} bytes of weights, which its {size} bytes cannot hold; get the file again.")


def _network_for(state: dict[str, Tensor], path: Path, mode: str | None) -> DenoisingNetwork:
    first = state.get("fdncnn.0.weight", state.get("m_head.weight"))
    if first is None or first.ndim != 4:
        raise ModelError(f"{path}: has neither fdncnn.0.weight nor m_head.weight; expected the state_dict of a published FDnCNN or DRUNet.")
    arguments: dict[str, Any] = {"blind": first.shape[1] == 1}
    of_drunet = "m_head.weight" in state
    arguments["mode"] = _mode_of_drunet(state) if of_drunet else _mode_of_fdncnn(state, path, mode)
    try:
        if of_drunet:
            levels = [first.shape[0], *(state[key].shape[0] for key in _numbered(state, r"m_down\.\d+\.\d+\.weight"))]
            blocks = len(_numbered(state, r"m_body\.\d+\.m_res\.0\.weight"))
            return DRUNet(channels=levels, blocks=blocks, **arguments)
        depth = len(_numbered(state, r"fdncnn\.\d+\.weight"))
        return FDnCNN(channels=first.shape[0], depth=depth, **arguments)
    except (RuntimeError, IndexError, SettingsError) as error:
        raise ModelError(f"{path}: its weights have shapes no FDnCNN or DRUNet has ({_first_line(error)}).") from error


def _mode_of_drunet(state: dict[str, Tensor]) -> str:
    if "res.0.alpha" in state:
        return "norm-equiv"
    return "ordinary" if "m_head.bias" in state else "scale-equiv"


def _mode_of_fdncnn(state: dict[str, Tensor], path: Path, mode: str | None) -> str:
    if "fdncnn.0.bias" in state:
        return "ordinary"
    if mode is not None:
        return layers_for(mode).equivariance  # refused here, where it was given
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
    for key, value in state.items():
        if value.dtype not in FLOATS:
            names = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
            raise ModelError(f"{path}: holds {key} as {value.dtype}; weights are {names}. Get the file again.")
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights do not fit {type(network).__name__} ({_first_line(error)}).") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def registered(opened: ModelFile, row: ModelRow) -> ModelFile:
    """The same file with what its row in the registry says."""
    half_errors, gaussian_only = opened.card.half_errors or row.half_errors, opened.card.gaussian_only or row.gaussian_only
    return replace(opened, card=replace(opened.card, name=row.name, half_errors=half_errors, gaussian_only=gaussian_only))
