"""Metrics agree with scikit-image and with what they are defined to be."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from napari_ne_denoise.core.metrics import fit_gain_and_offset, psnr


def test_psnr_is_that_of_scikit_image():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (40, 50)).astype(float)
    image = truth + rng.standard_normal(truth.shape)
    assert psnr(image, truth, 255) == pytest.approx(peak_signal_noise_ratio(truth, image, data_range=255))
    assert psnr(truth, truth, 255) == np.inf


def test_fit_undoes_gain_and_offset_and_is_the_best():
    truth = np.random.default_rng(1).random((30, 31))
    np.testing.assert_allclose(fit_gain_and_offset(3 * truth - 40, truth), truth, atol=1e-12)
    noisy = truth + np.random.default_rng(2).standard_normal(truth.shape)
    fitted = fit_gain_and_offset(noisy, truth)
    best = np.mean((fitted - truth) ** 2)
    for gain, offset in ((1.01, 0), (0.99, 0), (1, 0.01), (1, -0.01)):
        assert np.mean((gain * fitted + offset - truth) ** 2) > best
    np.testing.assert_allclose(fit_gain_and_offset(np.full((30, 31), 5), truth), truth.mean())
