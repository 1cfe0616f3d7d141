"""Maps of filters against what can be measured otherwise: repeated images, single filters, and objects of known contrast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from skimage import io

from benchmarks.images import NOISE, clean_images, from_zero_to_one, image_files, middle, noisy_plane
from benchmarks.noise.assessment import Kind, kinds
from benchmarks.noise.suite import validation_images
from benchmarks.options import Options
from benchmarks.ours import DEVICE, denoised
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.timing import seconds
from napari_ne_denoise import Denoiser, NoiseModel, adaptive_filter, adaptive_maps, load_denoiser
from napari_ne_denoise.core.jacobian.kinds import MAPS, PROBES, passes
from napari_ne_denoise.core.jacobian.measures import shape_of

MODEL = "fast"
KINDS = ("10 photons", "Gaussian, σ = 0.05")
REALISATIONS, MANY, SIDE = 200, 8, 128
EVERY = 4  # of the validation images
CORRELATION, SCALE = 0.95, 0.1
DECILES = 10
FILTERS = 24  # single ones, that maps are compared with
WITHIN = 0.05  # relative, of widths; of contrast, as a share of what was put in
BAR_PERIODS, PUT_IN, BACKGROUND, BAR_NOISE = (4, 6, 8, 12, 16), 0.3, 1.0, 0.1
SPOKES, STAR_SIDE = 36, 256
STAR_PERIODS, STAR_DIRECTIONS, SECTOR = (4, 6, 8, 12, 16), (0.0, 45.0), 10
REPEATS = 8  # of bars and stars, to average over their noise
COST, TIMED_SIDE = 60.0, 512
EXACT = tuple(name for name, kind in MAPS.items() if kind.exact and name != "noise_level_part")


def maps(options: Options) -> Report:
    """Residual noise against spreads, widths against single filters, contrasts against bars and a star."""
    report, model = Report("Maps of filters against the truth"), load_denoiser(MODEL)
    clean = [("validation", x) for x in validation_images(options.data)[1::EVERY]] if (options.data / "files.csv").is_file() else []
    test = islice(clean_images(options.data / "test" / "clean_micro"), 0, None, 4)
    clean += [("clean_micro", from_zero_to_one(middle(image, SIDE))) for _, image in test]
    _on_spread(clean[: options.limit], model, report)
    _on_photons(options.data / "test" / "photon_counting", model, report)
    _on_filters(clean[0][1], model, report)
    _on_bars(model, report)
    _on_star(model, report)
    return report


def map_cost(options: Options) -> Report:
    """What the exact maps cost, in denoisings of the same image."""
    report, model = Report("Maps of filters: cost"), load_denoiser(MODEL)
    image = noisy_plane((TIMED_SIDE, TIMED_SIDE))
    noise = NoiseModel(gain=0.0, offset=0.0, read_noise=NOISE)
    contenders = {
        "auto": lambda: denoised(image, model),
        "float32": lambda: denoised(image, model, precision="float32"),
        "exact": lambda: adaptive_maps(image, EXACT, model=model, device=DEVICE),
        "error": lambda: adaptive_maps(image, ["error"], model=model, noise_model=noise, device=DEVICE),
    }
    for once in contenders.values():
        once()
    turns = [{name: seconds(call) for name, call in contenders.items()} for _ in range(options.runs)]
    what = f"{len(EXACT)} exact maps of {TIMED_SIDE}×{TIMED_SIDE} pixels ({passes(EXACT)} products), in denoisings"
    for precision, said in (("float32", "in float32, as the maps are"), ("auto", "in the precision that auto takes")):
        report.targets.append(Target(f"{what} {said}", median(turn["exact"] / turn[precision] for turn in turns), COST))
    took = {name: number(median(turn[name] for turn in turns)) for name in contenders}
    bars = number(median(turn["error"] / turn["float32"] for turn in turns))
    report.notes.append(
        f"One denoising took {took['auto']} s in the precision of `auto` and {took['float32']} s in float32; all exact maps "
        f"({', '.join(EXACT)}) {took['exact']} s; error bars {took['error']} s, {bars} denoisings in float32."
    )
    return report


def _on_spread(clean: Sequence[tuple[str, np.ndarray]], model: Denoiser, report: Report) -> None:
    """What is predicted from one image, and how far the results of many images differ."""
    rows, correlations, of_many, scales = [], [], [], []
    for name in KINDS:
        for number_of, (where, x) in enumerate(clean):
            kind, truth = kinds()[name], x[:SIDE, :SIDE]
            spread, predicted = _spread_and_maps(truth, kind, model)
            correlations.append(_correlation(spread, predicted[0]))
            of_many.append(_correlation(spread, np.sqrt(np.square(predicted).mean(0))))
            scales.append(float(np.sqrt(np.square(predicted[0]).mean() / np.square(spread).mean())))
            variation = f"{spread.std() / spread.mean():.2f}"
            rows.append([name, f"{where} {number_of + 1}", f"{correlations[-1]:.3f}", f"{of_many[-1]:.3f}", f"{scales[-1]:.2f}", variation])
    caption = (
        f"Residual noise, predicted from one image by {PROBES} simulated ones, beside the standard deviation of {REALISATIONS} results, "
        f"which is known to {1 / np.sqrt(2 * REALISATIONS):.0%} itself; at most {SIDE}×{SIDE} pixels, noise known. The correlation is over "
        f"pixels: the less the true spread varies over an image, the more of what is seen is chance. A map knows the object from one noisy "
        f"image alone: so the root-mean-square map of {MANY} images stands beside it."
    )
    columns = ["noise", "image", "correlation", f"of {MANY} maps", "predicted / true", "variation of the true spread"]
    report.tables.append(Table(columns, rows, caption))
    report.targets.append(Target("residual noise and true spread: correlation, median", median(correlations), CORRELATION, at_most=False))
    report.targets.append(Target("the same, worst image", min(correlations), CORRELATION, at_most=False))
    what = f"residual noise of {MANY} images together and true spread: correlation, median"
    report.targets.append(Target(what, median(of_many), CORRELATION, at_most=False))
    report.targets.append(Target("residual noise over true spread: off 1 by, worst image", max(abs(s - 1) for s in scales), SCALE))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _spread_and_maps(truth: np.ndarray, kind: Kind, model: Denoiser) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(12)
    images = np.stack([kind.add(truth, rng) for _ in range(REALISATIONS)])
    spread = denoised(images, model, precision="float32").std(0, ddof=1)
    predicted = adaptive_maps(images[:MANY], ["residual_noise"], noise_model=kind.model, model=model, device=DEVICE)
    return np.asarray(spread), predicted["residual_noise"]


def _on_photons(folder: Path, model: Denoiser, report: Report) -> None:
    """Frames of one field that nothing but photons tells apart, in tenths of the pixels by what is predicted."""
    rows, off = [], []
    for path in image_files(folder, "frames*__*"):
        frames = io.imread(path).astype(np.float64)
        photons = NoiseModel(gain=1.0, offset=0.0, read_noise=0.0)
        found = adaptive_maps(frames, ["residual_noise"], noise_model=photons, axes="TYX", model=model, device=DEVICE)["residual_noise"]
        predicted, spread = np.square(found).mean(0).ravel(), denoised(frames, model, precision="float32").var(0, ddof=1).ravel()
        order = np.argsort(predicted, kind="stable")
        for tenth, part in enumerate(np.array_split(order, DECILES)):
            low, true = np.sqrt(predicted[part].mean()), np.sqrt(spread[part].mean())
            off.append(abs(low / true - 1))
            rows.append([str(tenth + 1), f"{low:.3f}", f"{true:.3f}", f"{low / true:.2f}"])
    if rows:
        caption = (
            "Photon counting, 16 real frames, the noise that of photons: residual noise in tenths of the pixels, in photons. In the first "
            "five there is half a photon a pixel."
        )
        report.tables.append(Table(["tenth", "predicted", "spread of results", "ratio"], rows, caption))
        report.targets.append(Target("residual noise of photon counts over true spread: off 1 by, worst tenth", max(off), SCALE))


def _on_filters(x: np.ndarray, model: Denoiser, report: Report) -> None:
    """Maps beside the filters of single pixels, which are computed in another way: by a backward pass, in float64."""
    y = kinds()["100 photons"].add(x, np.random.default_rng(3))
    names = ("width", "resolution", "elongation", "displacement")
    found = adaptive_maps(y, names, model=model, device=DEVICE)
    rng, off = np.random.default_rng(4), {name: [] for name in names}
    for _ in range(FILTERS):
        at = tuple(int(rng.integers(length)) for length in y.shape)
        each = adaptive_filter(y, at, model=model)
        w = each.weights
        shape = shape_of(w)
        rows, columns = (np.arange(length) + first - here for length, first, here in zip(w.shape, each.origin, at, strict=True))
        shape["displacement"] = float(np.hypot(w.sum(1) @ rows, w.sum(0) @ columns))
        for name in names:
            if np.isfinite(shape[name]):
                off[name].append(abs(float(found[name][at]) - shape[name]) / max(abs(shape[name]), 1.0))
    rows = [[name, f"{median(values):.1%}", f"{max(values):.1%}", str(len(values))] for name, values in off.items()]
    caption = f"Maps beside {FILTERS} single filters: relative difference, or in pixels where that is less than one."
    report.tables.append(Table(["map", "median", "largest", "filters with a value"], rows, caption))
    report.targets.append(Target("width, off that of single filters by, largest", max(off["width"]), WITHIN))


def _on_bars(model: Denoiser, report: Report) -> None:
    """Bars of one contrast and several periods on a flat background: what is left of them, and what the map says."""
    rows, off = [], []
    for period in BAR_PERIODS:
        for direction in (0.0, 45.0):
            kept, predicted = _kept_of_bars(period, direction, model)
            off.append(abs(kept - predicted))
            rows.append([str(period), f"{direction:.0f}°", f"{kept:.3f}", f"{predicted:.3f}", f"{predicted - kept:+.3f}"])
    caption = (
        f"Contrast that is kept of simulated stripes (sine, contrast {PUT_IN:g}, noise of σ = {BAR_NOISE:g} of their mean), mean of "
        f"{REPEATS} images: measured in the result, as its part that is in phase with them, and as the map of contrast tells it. "
        "The map tells what is kept of stripes alone; the result also holds what is left of the noise, to which the filters have adapted."
    )
    report.tables.append(Table(["period, px", "across", "measured", "map", "difference"], rows, caption))
    report.targets.append(Target("contrast of bars: map off what is measured by, largest", max(off), WITHIN))


def _kept_of_bars(period: float, direction: float, model: Denoiser) -> tuple[float, float]:
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = np.radians(direction)
    phase = 2 * np.pi / period * (np.cos(angle) * x + np.sin(angle) * y)
    inner = (slice(SIDE // 4, 3 * SIDE // 4),) * 2
    return _kept(BACKGROUND * (1 + PUT_IN * np.cos(phase)), phase, inner, period, direction, model)


def _on_star(model: Denoiser, report: Report) -> None:
    """A Siemens star: rings of it have one period each, and sectors of a ring about one direction."""
    y, x = np.mgrid[:STAR_SIDE, :STAR_SIDE] - STAR_SIDE / 2 + 0.5
    radius, spoke = np.hypot(y, x), np.arctan2(y, x)
    phase = SPOKES * spoke
    star = BACKGROUND * (1 + PUT_IN * np.cos(phase))
    rows, off = [], []
    for period in STAR_PERIODS:
        for direction in STAR_DIRECTIONS:
            aside = (np.degrees(spoke) + 90 - direction + 90) % 180 - 90  # the stripes of a sector lie along its spokes
            where = (np.abs(radius - SPOKES * period / (2 * np.pi)) < period / 4) & (np.abs(aside) < SECTOR)
            kept, predicted = _kept(star, phase, where, period, direction, model)
            off.append(abs(kept - predicted))
            rows.append([str(period), f"{direction:.0f}°", f"{kept:.3f}", f"{predicted:.3f}", f"{predicted - kept:+.3f}"])
    caption = f"The same of a Siemens star of {SPOKES} spokes, where its rings have these periods, within {SECTOR}° of these directions."
    report.tables.append(Table(["period, px", "across", "measured", "map", "difference"], rows, caption))
    report.targets.append(Target("contrast of a Siemens star: map off what is measured by, largest", max(off), WITHIN))


def _kept(
    clean: np.ndarray, phase: np.ndarray, where: object, period: float, direction: float | None, model: Denoiser
) -> tuple[float, float]:
    """The share of the contrast in the result, and the mean of the map, averaged over noise."""
    found = list(_each_kept(clean, phase, where, period, direction, model))
    kept, predicted = np.mean(found, 0)
    return float(kept), float(predicted)


def _each_kept(
    clean: np.ndarray, phase: np.ndarray, where: object, period: float, direction: float | None, model: Denoiser
) -> Iterator[tuple[float, float]]:
    for index in range(REPEATS):
        y = clean + BAR_NOISE * BACKGROUND * np.random.default_rng((9, index)).standard_normal(clean.shape)
        result = denoised(y, model, precision="float32")
        predicted = adaptive_maps(y, ["contrast"], period=float(period), direction=direction, model=model, device=DEVICE)["contrast"]
        yield _in_phase(result, phase, where) / _in_phase(clean, phase, where), float(np.mean(predicted[where]))  # type: ignore[call-overload]


def _in_phase(image: np.ndarray, phase: np.ndarray, where: object) -> float:
    """Amplitude of the wave in a part of an image, by least squares with a constant and both phases."""
    there = phase[where].ravel()  # type: ignore[call-overload]
    design = np.column_stack([np.ones_like(there), np.cos(there), np.sin(there)])
    fitted, *_ = np.linalg.lstsq(design, image[where].ravel(), rcond=None)  # type: ignore[call-overload]
    return float(fitted[1])
