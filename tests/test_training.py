"""Training: the same seed gives the same steps, whatever interrupts it; noise and crops are what they say."""

import copy
import json

import numpy as np
import pytest
import torch
from skimage.io import imsave
from tifffile import TiffWriter

from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.networks import DRUNet, NormalizedDenoiser, ShuffleUNet
from napari_ne_denoise.core.training.correlation import KERNELS, correlate, scanning_kernel
from napari_ne_denoise.core.training.dataset import CleanImage, CropSampler, read_clean_images, synthetic_images, write_pack
from napari_ne_denoise.core.training.degradation import Degradation
from napari_ne_denoise.core.training.optimizer import WeightOptimizer
from napari_ne_denoise.core.training.synthetic import KINDS, pupil_spread, seen_through_a_microscope
from napari_ne_denoise.core.training.trainer import Trainer, TrainingSettings, relative_error
from training import __main__ as command
from training import explore

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason=f"torch {torch.__version__} has no Muon; 2.9 has")


def images(count=4):
    rng = np.random.default_rng(0)
    return [CleanImage(np.kron(rng.random((10, 12)), np.ones((8, 8))).astype(np.float32), "blocks", 0.001) for _ in range(count)]


def trainer(path, steps=6, degradation=None, **choices):
    torch.manual_seed(1)
    settings = TrainingSettings(steps=steps, batch=2, side=24, warmup=2, seed=5, half=False, **choices)
    return Trainer(
        ShuffleUNet(channels=(8, 12), blocks=1),
        CropSampler(images(), {"blocks": 1}, 24),
        degradation or Degradation(),
        settings,
        path,
        validation=images(2),
    )


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("muon", marks=needs_muon)])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, optimizer):
    whole = trainer(tmp_path / "whole.pt", optimizer=optimizer)
    list(whole.run())
    first = trainer(tmp_path / "parts.pt", optimizer=optimizer)
    for progress in first.run(report_every=1, save_seconds=0):
        if progress.step == 3:
            break
    second = trainer(tmp_path / "parts.pt", optimizer=optimizer)
    assert second.step == 3
    *_, last = second.run(report_every=1)
    assert (last.step, last.total) == (6, 6)
    assert last.validation
    for key, value in whole.averaged.state_dict().items():
        assert torch.equal(second.averaged.state_dict()[key], value)


def test_a_step_is_a_function_of_seed_and_number(tmp_path):
    a, b = trainer(tmp_path / "a.pt"), trainer(tmp_path / "b.pt")
    for one, other in zip(a.batch(7), b.batch(7), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == torch.float32
    assert not torch.equal(a.batch(7)[0], a.batch(8)[0])


def test_training_learns(tmp_path):
    learner = trainer(tmp_path / "c.pt", steps=60, learning_rate=3e-3)
    losses = [progress.loss for progress in learner.run(report_every=20)]
    assert losses[-1] < 0.8 * losses[0]


@needs_muon
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_changes_kernels_in_place_whatever_lies_where(memory_format):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Conv2d(8, 6, 3, bias=False))
    network = copy.deepcopy(plain).to(memory_format=memory_format)
    for one in (plain, network):
        optimizer = WeightOptimizer(one, "muon")
        for _ in range(3):
            one(torch.ones(2, 1, 9, 9)).square().mean().backward()
            optimizer.step(1e-2)
        assert all(weight.grad is None for weight in one.parameters())
    for before, after in zip(plain.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(after, before)


@needs_muon
def test_muon_moves_a_kernel_along_orthogonal_directions():
    torch.manual_seed(0)
    kernel = torch.nn.Conv2d(8, 6, 3, bias=False)
    before = kernel.weight.detach().clone()
    optimizer = WeightOptimizer(kernel, "muon")
    kernel(torch.randn(2, 8, 9, 9)).square().mean().backward()
    optimizer.step(1e-2)
    moved = torch.linalg.svdvals((kernel.weight - before).flatten(1).detach())
    # a gradient has singular values of many sizes; Muon's are about equal
    assert moved.min() > 0.4 * moved.max()


def test_an_unknown_optimizer_is_refused(monkeypatch):
    with pytest.raises(SettingsError, match='choose "adam" or "muon"'):
        WeightOptimizer(torch.nn.Conv2d(8, 8, 3), "sgd")
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(SettingsError, match="has no Muon"):
        WeightOptimizer(torch.nn.Conv2d(8, 8, 3), "muon")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trainer(tmp_path / "d.pt").save()
    with pytest.raises(SettingsError, match="train into another file"):
        Trainer(
            ShuffleUNet(channels=(6, 8)),
            CropSampler(images(), {"blocks": 1}, 24),
            Degradation(),
            TrainingSettings(steps=1),
            tmp_path / "d.pt",
        )


def test_a_checkpoint_trained_otherwise_is_refused_but_may_go_on_for_longer(tmp_path):
    trainer(tmp_path / "e.pt").save()
    assert trainer(tmp_path / "e.pt", steps=9).settings.steps == 9
    with pytest.raises(SettingsError, match="was trained with"):
        trainer(tmp_path / "e.pt", learning_rate=0.1)
    with pytest.raises(SettingsError, match="was trained with the noise"):
        trainer(tmp_path / "e.pt", degradation=Degradation(correlated_share=0.3))


def test_a_checkpoint_trained_on_other_images_is_refused(tmp_path):
    learner = trainer(tmp_path / "f.pt")
    learner.save()
    learner.sampler = CropSampler(images(1), {"blocks": 1}, 24)
    with pytest.raises(SettingsError, match=r"other images.*go on with the same data"):
        Trainer(learner.published, learner.sampler, learner.degradation, learner.settings, tmp_path / "f.pt")


def test_a_checkpoint_says_what_it_began_from(tmp_path):
    origin = {"name": "fast", "sha256": "0" * 64}
    first = trainer(tmp_path / "g.pt")
    Trainer(first.published, first.sampler, first.degradation, first.settings, tmp_path / "g.pt", began_from=origin).save()
    assert trainer(tmp_path / "g.pt").began_from == origin


@pytest.fixture
def tiny_recipe(monkeypatch):
    """What any recipe name stands for: six steps of a tiny network."""

    def build(recipe, data, runs, name, device):
        return trainer(runs / f"{name}.pt")

    for module in (command, explore):
        monkeypatch.setattr(module, "build_trainer", build)


def entries(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("tiny_recipe")
def test_a_training_that_was_ended_before_its_last_validation_makes_up_for_it(tmp_path):
    log = tmp_path / "study-white.jsonl"
    command.train("study-white", tmp_path, tmp_path, "cpu")
    (last,) = entries(log)
    assert (last["step"], bool(last["validation"])) == (6, True)
    command.train("study-white", tmp_path, tmp_path, "cpu")
    assert entries(log) == [last]  # all is there
    log.write_text(json.dumps(last | {"step": 3, "validation": {"gaussian 0.02": 1.0}}) + "\n")
    command.train("study-white", tmp_path, tmp_path, "cpu")
    *_, again = entries(log)
    assert (again["step"], again["validation"]) == (6, last["validation"])


@pytest.mark.usefixtures("tiny_recipe")
def test_a_variant_that_was_trained_before_is_measured_again(tmp_path):
    name = next(iter(explore.VARIANTS))
    first = explore.explore(name, tmp_path, tmp_path)
    assert first["steps"] == 6
    assert {"parameters", "gaussian 0.1"} <= set(first)
    assert explore.explore(name, tmp_path, tmp_path) == first


def test_a_crop_without_noise_does_no_harm():
    clean = torch.zeros(2, 1, 4, 4)
    denoised = torch.full_like(clean, 0.1).requires_grad_()
    noisy = clean + torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    loss = relative_error(denoised, noisy, clean)
    loss.backward()
    assert torch.isfinite(denoised.grad).all()
    assert float(loss.detach()) == pytest.approx(0.05, abs=1e-5)


def test_the_learning_rate_rises_stays_and_falls():
    settings = TrainingSettings(steps=1000, warmup=100, decay_share=0.5, learning_rate=1.0)
    rates = [settings.rate(step) for step in range(1000)]
    assert rates[0] == 0.01
    assert rates[100:500] == [1.0] * 400
    assert rates[750] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.002)


def test_doing_nothing_has_a_relative_error_of_one():
    clean = torch.zeros(3, 1, 8, 8)
    noisy = clean + torch.tensor([0.01, 1, 50]).reshape(3, 1, 1, 1) * torch.randn(3, 1, 8, 8)
    assert float(relative_error(noisy, noisy, clean)) == pytest.approx(1)
    assert float(relative_error(clean, noisy, clean)) < 1e-5


def test_noise_is_as_strong_as_asked_and_never_below_the_grain():
    clean, rng = np.full((200, 200), 0.5, np.float32), np.random.default_rng(0)
    gaussian = Degradation(sigma=(0.1, 0.1), poisson_share=0).draw(clean, 0, rng)
    assert gaussian.std() == pytest.approx(0.1, rel=0.02)
    poisson = Degradation(photons=(50, 50), poisson_share=1, background_photons=(0, 0), read_noise=0).draw(clean, 0, rng)
    assert poisson.mean() == pytest.approx(0.5, rel=0.02)
    assert poisson.var() == pytest.approx(0.5 / 50, rel=0.05)
    assert Degradation(sigma=(0.01, 0.01), poisson_share=0).draw(clean, 0.1, rng).std() == pytest.approx(0.3, rel=0.05)


def test_poisson_noise_may_be_far_weaker_in_the_dark():
    clean, rng = np.zeros((200, 200), np.float32), np.random.default_rng(0)
    clean[:, 100:] = 1
    noisy = Degradation(photons=(100, 100), poisson_share=1, background_photons=(0.01, 0.01), read_noise=0).draw(clean, 0, rng)
    assert noisy[:, :100].mean() == pytest.approx(0, abs=0.002)
    assert noisy[:, 100:].std() / noisy[:, :100].std() == pytest.approx(np.sqrt(101), rel=0.05)


def lag(noise, axis):
    """Correlation of neighbours along an axis."""
    one, other = (noise.take(range(*bounds), axis) for bounds in ((0, noise.shape[axis] - 1), (1, noise.shape[axis])))
    return float((one * other).mean() / noise.var())


@pytest.mark.parametrize("maker", [maker for maker, _ in KERNELS])
def test_correlated_noise_keeps_its_variance(maker, monkeypatch):
    monkeypatch.setattr("napari_ne_denoise.core.training.correlation.KERNELS", ((maker, 1.0),))
    rng = np.random.default_rng(0)
    for _ in range(5):
        noise = correlate(rng.standard_normal((256, 256)), rng)
        assert noise.std() == pytest.approx(1, rel=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.05)
        assert 0.01 < lag(noise, 1) < 0.85
        assert abs(lag(noise, 0)) < 0.02 if maker is scanning_kernel else lag(noise, 0) > 0.01


def test_a_share_of_the_noise_is_correlated():
    clean, rng = np.full((64, 64), 0.5, np.float32), np.random.default_rng(0)
    degradation = Degradation(poisson_share=0, correlated_share=0.3)
    lags = [lag(degradation.draw(clean, 0, rng) - clean, 1) for _ in range(300)]
    assert 0.2 < np.mean(np.array(lags) > 0.1) < 0.36


def test_what_a_detector_cuts_off_and_rounds():
    clean, rng = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1)), np.random.default_rng(0)
    clipped = Degradation(sigma=(0.1, 0.1), poisson_share=0, clipped_share=1).draw(clean, 0, rng)
    assert -0.25 < clipped.min() <= 0
    assert (clipped == clipped.min()).sum() > 20
    rounded = Degradation(sigma=(0.1, 0.1), poisson_share=0, rounded_share=1).draw(clean, 0, rng)
    assert len(np.unique(rounded)) < 1000
    assert np.std(rounded - clean) == pytest.approx(0.1, rel=0.2)


def test_crops_have_the_right_size_and_their_grain_falls_when_shrunk():
    sampler, rng = CropSampler(images(), {"blocks": 1, "absent": 2}, 24), np.random.default_rng(0)
    grains = set()
    for _ in range(60):
        crop, grain = sampler.draw(rng)
        assert crop.shape == (24, 24)
        assert crop.dtype == np.float32
        grains.add(grain)
    assert max(grains) == 0.001
    assert min(grains) < 0.0005


def test_contrast_is_bent_and_grain_with_it():
    image = images(1)[0]
    straight = CropSampler([image], {"blocks": 1}, 24)
    bent = CropSampler([image], {"blocks": 1}, 24, bent_share=1.0)
    grains = []
    for seed in range(20):
        (before, grain), (after, bent_grain) = (sampler.draw(np.random.default_rng(seed)) for sampler in (straight, bent))
        # what was darker stays darker
        order = np.argsort(before, axis=None)
        assert np.all(np.diff(after.flat[order]) >= -1e-6)
        assert np.isfinite(after).all()
        grains.append(bent_grain / grain)
        # a slope is never steeper than was said
        rise, run = np.diff(np.unique(after)), np.diff(np.unique(before))
        if len(rise) == len(run):
            assert (rise[run > 1e-3] / run[run > 1e-3]).max() <= grains[-1] * 1.01
    assert np.std(grains) > 0


@pytest.mark.parametrize("maker", [maker for maker, _ in KINDS])
def test_made_images_have_structure(maker):
    image = seen_through_a_microscope(maker(np.random.default_rng(1)), np.random.default_rng(1))
    assert image.shape == (320, 320)
    assert image.std() > 0.01 * np.ptp(image)


def test_made_images_are_repeatable_and_in_range():
    first, again = synthetic_images(3, seed=4), synthetic_images(3, seed=4)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert one.pixels.dtype == np.float32
        assert (one.pixels.min(), one.pixels.max()) == (0, 1)


def test_a_pupil_passes_nothing_beyond_its_cutoff():
    spread = pupil_spread(cutoff=0.2, defocus=0.0, side=65)
    assert spread.sum() == pytest.approx(1)
    transfer = np.abs(np.fft.fft2(spread))
    frequencies = np.abs(np.fft.fftfreq(65))
    assert transfer[0, frequencies > 0.22].max() < 0.01
    assert transfer[0, (frequencies > 0) & (frequencies < 0.1)].min() > 0.3
    # out of focus, less contrast is left
    assert np.abs(np.fft.fft2(pupil_spread(0.2, 4.0, 65)))[0, 5] < transfer[0, 5]


def test_a_pack_stands_for_the_folder(tmp_path):
    folder, pack, demands = folder_of_images(tmp_path / "data"), tmp_path / "pack.tif", {"largest_grain": 0.01, "smallest_side": 30}
    training, validation = read_clean_images(folder, **demands)
    write_pack(pack, training, validation, **demands)
    again = read_clean_images(pack, **demands)
    assert [len(part) for part in again] == [len(training), len(validation)] == [1, 1]
    for before, after in zip((*training, *validation), (*again[0], *again[1]), strict=True):
        assert (after.origin, after.grain) == (before.origin, before.grain)
        assert after.pixels.dtype == before.pixels.dtype == np.float32
        np.testing.assert_array_equal(after.pixels, before.pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "pack.tif"]
    for others in ({"largest_grain": 0.02}, {"smallest_side": 40}):
        with pytest.raises(FileError, match="was packed with"):
            read_clean_images(pack, **{**demands, **others})


def test_a_pack_that_does_not_say_what_was_asked_of_its_images_is_read(tmp_path):
    with TiffWriter(tmp_path / "old.tif") as pack:
        told = json.dumps({"for": "training", "origin": "blocks", "grain": 0.001})
        pack.write(np.full((8, 8), 2730, np.uint16), description=told, metadata=None)
    (image,), none = read_clean_images(tmp_path / "old.tif", largest_grain=1, smallest_side=1)
    assert image.pixels == pytest.approx(1.0)
    assert not none


def folder_of_images(path):
    """A folder as recipes read it: one image for training, one for validation, and one that is too noisy."""
    folder = path / "train" / "permissive"
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(0), ["path,set,noise_frac,sha256"]
    for name, grain, digest in (("a", 0.02, "0000000c"), ("b", 0, "00000001"), ("c", 0.5, "00000002")):
        imsave(folder / f"{name}.png", rng.integers(0, 255, (80, 90), np.uint8), check_contrast=False)
        rows.append(f"train/permissive/{name}.png,made,{grain},{digest}")
    (path / "files.csv").write_text("\n".join(rows))
    return path


def test_files_are_read_binned_and_split(tmp_path):
    training, validation = read_clean_images(folder_of_images(tmp_path), largest_grain=0.01, smallest_side=30)
    assert [image.pixels.shape for image in validation] == [(40, 45)]  # binned once to half the grain
    assert validation[0].grain == 0.01
    assert [image.pixels.shape for image in training] == [(80, 90)]  # c stays too noisy until it is too small
    with pytest.raises(FileError, match=r"files\.csv"):
        read_clean_images(tmp_path / "train", largest_grain=1, smallest_side=1)


def wrapped_trainer(path, network=None):
    """In half precision, as on a CPU that has it."""
    torch.manual_seed(1)
    network = network or NormalizedDenoiser(DRUNet("ordinary", channels=(4, 8), blocks=1))
    settings = TrainingSettings(steps=4, batch=2, side=24, warmup=1, learning_rate=1e-2, seed=5)
    return Trainer(network, CropSampler(images(), {"blocks": 1}, 24), Degradation(), settings, path, validation=images(2))


def test_a_wrapped_network_is_trained_through_its_wrapper(tmp_path):
    whole = wrapped_trainer(tmp_path / "whole.pt")
    *_, last = whole.run()
    assert all(np.isfinite(score) for score in last.validation.values())
    first = wrapped_trainer(tmp_path / "parts.pt")
    for progress in first.run(report_every=1, save_seconds=0):
        if progress.step == 2:
            break
    second = wrapped_trainer(tmp_path / "parts.pt")
    assert second.step == 2
    list(second.run())
    trained, again = whole.trained(), second.trained()
    assert isinstance(trained, NormalizedDenoiser)
    assert trained.config == whole.published.config
    for key, value in trained.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
        assert not torch.equal(whole.published.state_dict()[key], value)
    exact, noisy = trained.double(), torch.randn(1, 1, 24, 24, dtype=torch.float64)
    torch.testing.assert_close(exact(500 + 0.1 * noisy), 500 + 0.1 * exact(noisy))


def test_a_checkpoint_of_the_wrapped_network_is_not_that_of_the_bare_one(tmp_path):
    wrapped_trainer(tmp_path / "f.pt").save()
    with pytest.raises(SettingsError, match="train into another file"):
        wrapped_trainer(tmp_path / "f.pt", DRUNet("ordinary", channels=(4, 8), blocks=1))


def test_the_wrapper_takes_statistics_exactly_in_half_precision():
    torch.manual_seed(0)
    network = NormalizedDenoiser(DRUNet("ordinary", channels=(4, 8), blocks=1)).for_training()
    noise = torch.randn(2, 1, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = network(noise), network(1000 + noise / 8)
    # in bfloat16 a level of 1000 is known to 4, in float32 to 6e-5
    torch.testing.assert_close((found - 1000) * 8, expected, rtol=0, atol=0.05)
    assert found.dtype == torch.float32
