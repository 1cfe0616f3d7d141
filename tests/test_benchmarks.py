"""The quality benchmark measures what its protocol says."""

import numpy as np
import pytest
from skimage import io

from benchmarks.quality import fluorescence, gaussian


def test_gaussian_noise_has_the_psnr_of_its_sigma(tmp_path):
    for name in ("a", "b"):
        io.imsave(tmp_path / f"{name}.png", np.full((200, 210), 128, np.uint8), check_contrast=False)
    assert gaussian(tmp_path, 25, np.asarray) == pytest.approx(20 * np.log10(255 / 25), abs=0.05)
    assert gaussian(tmp_path, 25, lambda noisy: np.full(noisy.shape, 128.0)) == np.inf


def test_fluorescence_pairs_frames_with_their_field_and_clips(tmp_path):
    for name, value in (("gt__One_2", 250), ("noisy__One_2_1", 255), ("noisy__One_2_2", 235), ("gt__Two", 9), ("noisy__Two_1", 9)):
        io.imsave(tmp_path / f"{name}.png", np.full((8, 9), value, np.uint8), check_contrast=False)
    found = fluorescence(tmp_path, lambda noisy: noisy.astype(float) + 10)
    assert set(found) == {"One_2", "Two", "all"}
    assert found["One_2"] == pytest.approx(20 * np.log10(255 / 5))
    assert found["Two"] == pytest.approx(20 * np.log10(255 / 10))
