"""Denoising networks as the paper has them, and our own."""

from napari_ne_denoise.core.networks.drunet import DRUNet
from napari_ne_denoise.core.networks.fdncnn import FDnCNN
from napari_ne_denoise.core.networks.layers import AffineConv2d, AffineConvTranspose2d, AffineResidual, Mode, SortPool
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.networks.normalized import NormalizedDenoiser
from napari_ne_denoise.core.networks.shuffle_unet import ShuffleUNet

__all__ = [
    "AffineConv2d",
    "AffineConvTranspose2d",
    "AffineResidual",
    "DRUNet",
    "DenoisingNetwork",
    "FDnCNN",
    "Mode",
    "NormalizedDenoiser",
    "ShuffleUNet",
    "SortPool",
]
