"""The errors a user can meet: each says what came, what is accepted, and what to do."""

import errno
import re
import sys
from collections.abc import Mapping
from traceback import walk_tb

NO_LABELS: Mapping[str, str] = {}
_SETTING = re.compile(r"(?P<name>\w+)=(?P<quote>['\"]?)(?P<value>.*?)(?P=quote): ")
# what mends a torch that cannot be loaded: on Windows, torch 2.9 and later want a newer C++ runtime than the system, or Qt, may have loaded
_RUNTIME = (
    "install the newest Visual C++ Redistributable (https://aka.ms/vc14/vc_redist.x64.exe) and start again; if that does not help, take an "
    'older torch (pip install "torch<2.9"), or in the window another Qt (PySide6 in place of PyQt)'
)
_ANEW = "install it anew (pip install --force-reinstall torch) and start again"
LONGEST_REASON = 300  # characters of what a library says of a damaged file, which may quote much of it


class NEDenoiseError(ValueError):
    """Something the user can mend; its message says how, or `mend` by what.

    Parameters
    ----------
    said
        What came, and what is accepted.
    mend
        Name of the setting that mends it, where the command line and the window call that otherwise; each has its own words for what to do
        then.  "": the setting that the message begins with, as in "axes='YX': must…", if there is one.
    python
        What to do in Python, which ends the message where nobody has other words for it.
    """

    def __init__(self, said: str = "", mend: str = "", python: str = "") -> None:
        super().__init__(_joined(said, python))
        self._said = said
        named = re.match(r"(\w+)=", said)
        self.mend = mend or (named[1] if named else "")

    def with_remedy(self, remedies: Mapping[str, str], labels: Mapping[str, str] = NO_LABELS) -> str:
        """The message, and what to do in the words of whoever shows it, by `mend`.

        Parameters
        ----------
        remedies
            What to do.
        labels
            What settings are called there: "axes='YX': must…" begins with the label of axes instead.
        """
        remedy = remedies.get(self.mend)
        said = f"{self}" if remedy is None else _joined(self._said, remedy)
        setting = _SETTING.match(said)
        if setting is None or setting["name"] not in labels:
            return said
        return f"{labels[setting['name']]} {setting['value']}: {said[setting.end() :]}"


class SettingsError(NEDenoiseError):
    """A setting outside what is accepted."""


class ImageError(NEDenoiseError):
    """An image that cannot be denoised as it is: wrong dtype, shape, axes, or values that are no numbers."""


class ModelError(NEDenoiseError):
    """A model that is unknown, or a weight file that is not what it claims to be."""


class DownloadError(ModelError):
    """A weight file that could not be fetched, or changed since it was first seen."""


class DeviceError(NEDenoiseError):
    """A device that is missing, does not work, or has too little memory even for the smallest tile."""


class FileError(NEDenoiseError):
    """A file that cannot be read or written as asked."""


class ComputationError(NEDenoiseError):
    """The network failed on the device; the message carries what torch said.

    torch raises RuntimeError, which generator workers of superqt drop silently; nothing of ours may be one.
    """


def torch_failure(error: BaseException) -> ComputationError | None:
    """What to tell of an error that came because torch could not be imported; None of every other error."""
    in_torch = "torch" not in sys.modules and any(frame.f_globals.get("__name__") == "torch" for frame, _ in walk_tb(error.__traceback__))
    named = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "torch"
    if not (in_torch or named):
        return None
    of_windows = getattr(error, "winerror", None) is not None or "DLL load failed" in str(error)
    return ComputationError(f"torch, which computes, cannot be loaded ({one_line(str(error))}); {_RUNTIME if of_windows else _ANEW}.")


def _joined(said: str, remedy: str) -> str:
    return f"{said.removesuffix('.')}; {remedy}." if remedy else said


def reason_of(error: BaseException) -> str:
    """What went wrong, of whatever a library raised, in one line that a person will read."""
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"{error} is missing in it"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return one_line(f"{error.strerror}: {error.filename}")
    return one_line(f"{error}") or type(error).__name__


def one_line(text: str) -> str:
    """A message of whatever length and whatever characters, as a part of one of ours."""
    plain = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return plain if len(plain) <= LONGEST_REASON else f"{plain[:LONGEST_REASON]}…"
