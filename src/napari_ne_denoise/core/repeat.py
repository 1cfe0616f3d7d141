"""Text that repeats a run: as Python, and as a command line.

What "auto" became is written out where that pins the result, so that the text gives the very numbers of the run: device, tile size and
precision.  The text is made of records that may come from anybody's file: nothing in them can become more than a value.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io.letters import letters_for
from napari_ne_denoise.core.io.names import stem
from napari_ne_denoise.core.noise.profile import noise_from_record
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings

UNKNOWN_FILE = "noisy.tif"
_SPECIAL = re.compile(r"[%&|<>^\x00-\x1f]")
_PLAIN_WORD, _UNQUOTABLE = re.compile(r"[\w.,:=/\\+-]+"), re.compile(r'["%\x00-\x1f]')
_PINNED_PRECISIONS = ("float32", "float16", "bfloat16")


def as_python(record: Mapping[str, Any], path: str | None = None) -> str:
    """Python that reads a file and gives ``denoised``, the result of a run.

    Parameters
    ----------
    record
        Of the run, as layers and files carry it.
    path
        Of the noisy image.  None: the name in the record, if it has one.

    Raises
    ------
    SettingsError
        If it is no record of a run, or one with settings that this version does not have.
    """
    plain = _plain(record)
    settings, shape = _settings(plain), _shape(plain)
    given = "".join(f"    {name}={value!r},\n" for name, value in _given(plain, settings))
    slices = _part(plain, len(shape))
    part = f"[{', '.join(f'{start}:{stop}' for start, stop in slices)}]" if slices else ""
    return (
        "".join(f"# {line}\n" for line in _remarks(plain, settings))
        + "from napari_ne_denoise import denoise\n"
        + "from napari_ne_denoise.core.io import read_image\n\n"
        + f"image = read_image({_source(plain, path)!r}{f', series={series}' if (series := _series(plain)) else ''}).pixels\n"
        + f"assert image.shape == {shape!r}, image.shape\n"
        + f"denoised = denoise(\n    image,\n{given}){part}\n"
    )


def as_command(record: Mapping[str, Any], path: str | None = None, *, windows: bool = False) -> str:
    """A line for a shell that denoises a file as a run did, into a file beside it.

    Parameters
    ----------
    record, path
        As in `as_python`.
    windows
        Quote as cmd.exe asks for it, instead of POSIX shells.  PowerShell takes the same, but for names with ``$`` or a backtick, and
        for noise that is given as a record.

    Raises
    ------
    SettingsError
        As `as_python`.
    """
    plain = _plain(record)
    settings, source = _settings(plain), _source(plain, path)
    target = str(_beside(Path(source)))
    given = _with_axes(dict(_given(plain, settings)), settings, _shape(plain))
    which = {"series": series} if (series := _series(plain)) else {}
    options = [_option(name, value) for name, value in {**given, **which}.items()]
    words = [KEY, "denoise", _no_option(source), "-o", _no_option(target), *(word for option in options for word in option)]
    if not windows:
        return shlex.join(words)
    noise = _text(settings.noise)
    return " ".join(_for_windows(word, noise if isinstance(settings.noise, dict) else "") for word in words)


def _beside(source: Path) -> Path:
    """Where the result goes: beside the file, or beside the OME-Zarr that the image is in, as a field of a plate is."""
    parts = source.parts
    at = next((number for number, part in enumerate(parts) if part.lower().endswith(".zarr")), None)
    if at is None:
        return source.with_name(f"{stem(source)}_denoised.ome.tif")
    return Path(*parts[:at], "_".join([stem(Path(parts[at])), *parts[at + 1 :]]) + "_denoised.ome.zarr")


def part_of(record: Mapping[str, Any]) -> str | None:
    """What a command cannot say: which part of the image a result holds, if not all of it; in words."""
    plain = _plain(record)
    slices = _part(plain, len(_shape(plain)))
    return ", ".join(f"{start}:{stop}" for start, stop in slices) if slices else None


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that holds nothing but what JSON can hold."""
    try:
        plain = json.loads(json.dumps(record))
        if isinstance(plain["settings"], dict) and isinstance(plain["input"]["shape"], list):
            return dict(plain)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise SettingsError(f"record: is none of a run of {KEY}; give the one that a result carries.")


def _settings(record: Mapping[str, Any]) -> DenoiseSettings:
    try:
        settings = DEFAULTS.changed(**record["settings"])
        if isinstance(settings.noise, dict):  # nothing but what a record of noise holds
            return settings.changed(noise=noise_from_record(settings.noise).as_record())
        return settings
    except (KeyError, TypeError, ValueError) as error:
        version = _one_line(record.get("version", "unknown"))
        raise SettingsError(f"record: was made by version {version} with a setting that this one does not take: {error}") from error


def _shape(record: Mapping[str, Any]) -> tuple[int, ...]:
    lengths = record["input"]["shape"]
    if not all(isinstance(length, int) for length in lengths):
        raise SettingsError(f"record: shape {lengths} is none of an image; give the record that a result carries.")
    return tuple(lengths)


def _series(record: Mapping[str, Any]) -> int:
    """Which image of its file was denoised."""
    series = record["input"].get("series", 0)
    if not isinstance(series, int) or isinstance(series, bool) or series < 0:
        raise SettingsError(f"record: series {series} is no image of a file; give the record that a result carries.")
    return series


def _given(record: Mapping[str, Any], settings: DenoiseSettings) -> Iterator[tuple[str, Any]]:
    """The settings that are no defaults, and those that were decided by the machine."""
    decided = record.get("decided")
    pinned = _pinned(settings, decided if isinstance(decided, dict) else {})
    for field in fields(DenoiseSettings):
        value = getattr(pinned, field.name)
        if field.name == "model" or value != getattr(DEFAULTS, field.name):
            yield field.name, value


def _pinned(settings: DenoiseSettings, decided: Mapping[str, Any]) -> DenoiseSettings:
    found = {name: decided[name] for name in ("device", "tile_size") if decided.get(name) is not None}
    if settings.precision == "auto" and decided.get("precision") in _PINNED_PRECISIONS:
        found["precision"] = decided["precision"]
    return settings.changed(**found)


def _with_axes(given: dict[str, Any], settings: DenoiseSettings, shape: tuple[int, ...]) -> dict[str, Any]:
    """The same with a letter for each axis: a file may say something else of its axes than the run was told."""
    if settings.axes is not None or len(shape) == 2:
        return given
    planes = plan_planes(shape, None, settings.channel_axis)
    return given | {"axes": letters_for(len(shape), planes.rows, planes.columns, settings.channel_axis)}


def _option(name: str, value: Any) -> list[str]:
    option = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [option if value else "--no-" + option[2:]]
    text = _text(value)
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _for_windows(word: str, noise: str) -> str:
    """A word for cmd.exe, in quotes where it needs them.

    Within quotes nothing is special but % and quotes themselves; the record of noise has quotes, and else nothing special.
    """
    if _PLAIN_WORD.fullmatch(word):
        return word
    if _SPECIAL.search(word.replace('"', "")) if word == noise else _UNQUOTABLE.search(word):
        raise SettingsError(f"{word}: cmd.exe has no way to write this; copy the run as Python.")
    escaped = word.replace('"', r"\"")
    last = len(escaped) - len(escaped.rstrip("\\"))  # backslashes, which would take the closing quote for one of the word's
    return '"' + escaped + "\\" * last + '"'


def _no_option(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _source(record: Mapping[str, Any], path: str | None) -> str:
    name = record["input"].get("file")
    return str(path) if path is not None else name if isinstance(name, str) and name else UNKNOWN_FILE


def _part(record: Mapping[str, Any], count: int) -> list[tuple[int, int]]:
    """Start and stop along each axis, where the result is a part of what was denoised."""
    part = record.get("part")
    if not isinstance(part, list):
        return []
    windows = [tuple(window) for window in part if isinstance(window, list)]
    if len(windows) != count or not all(len(window) == 2 and all(isinstance(at, int) for at in window) for window in windows):
        raise SettingsError(f"record: part {part} is none of an image with {count} axes; give the record that a result carries.")
    return [(start, stop) for start, stop in windows]


def _remarks(record: Mapping[str, Any], settings: DenoiseSettings) -> Iterator[str]:
    model = record.get("model")
    sha256 = f" (SHA-256 {_one_line(model.get('sha256', 'unknown'))[:16]}…)" if isinstance(model, dict) else ""
    yield f"{KEY} {_one_line(record.get('version', 'unknown'))}, model {_one_line(settings.model_name)}{sha256}"
    decided = record.get("decided")
    precision = _one_line(decided.get("precision", "") if isinstance(decided, dict) else "")
    if settings.precision == "auto" and "," in precision:
        yield f"Computed in {precision}, decided tile by tile; the tiles of a window begin where one looks."
    if "source_layer" in record and settings.strength not in (0.0, 1.0):
        yield f"The window blends what it has rounded already: at strength {settings.strength!r} the last digit may be another."


def _one_line(text: Any) -> str:
    return "".join(character for character in str(text) if character.isprintable())
