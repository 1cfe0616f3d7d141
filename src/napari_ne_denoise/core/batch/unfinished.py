"""A large result that is being made part by part, in a folder beside its name until it is complete.

The folder holds a plan (what is made from what, and how), journals (which parts are finished) and the image.  Whoever comes with the same
plan goes on: the same command after it was killed, several jobs at once, or workers of a cluster.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, SoftFileLock, Timeout

from napari_ne_denoise.core.batch.identity import differences
from napari_ne_denoise.core.batch.jobs import Share
from napari_ne_denoise.core.batch.journal import Journal, journals_in, read_journals
from napari_ne_denoise.core.batch.parts import PartMaker, Parts
from napari_ne_denoise.core.batch.products import Product
from napari_ne_denoise.core.batch.work_folder import PARTS, PLAN, REPLACED, STORE, plan_in, work_folder
from napari_ne_denoise.core.errors import FileError, ImageError, ModelError, SettingsError
from napari_ne_denoise.core.io import ImageFile, zarr_files
from napari_ne_denoise.core.io.complete import move
from napari_ne_denoise.core.io.failures import NOT_WRITTEN, failures_named
from napari_ne_denoise.core.io.names import nowhere_else
from napari_ne_denoise.core.io.pyramid import DoAll, one_by_one
from napari_ne_denoise.core.io.zarr_files import ZarrParts
from napari_ne_denoise.core.run import Decided

_PRECISIONS = ("float32", "float16", "bfloat16")
# how file systems say that they know no locks: NFS without its daemon, Lustre mounted without flock
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
# a filelock that knows this takes no file for a lock there, which would outlive a process that is killed
_SYSTEM_ONLY: dict[str, Any] = {"fallback_to_soft": False} if "fallback_to_soft" in signature(FileLock.__init__).parameters else {}
# what the same command meets again: nothing is kept for it
_OF_NO_USE = (ImageError, SettingsError, ModelError)


class Unfinished:
    """A result in the making; `begun` and `gone_on_with` give one.

    Parameters
    ----------
    target
        What it will be.
    image
        All that is known of it but the pixels, of which only the shape counts.
    product
        What is made of the image, by a run for which everything is decided anew, as the plan says.
    plan
        What is in the folder's plan.

    Attributes
    ----------
    folder
        Where it is made.
    product
        The same, as the plan says.
    parts
        How it is cut.
    """

    def __init__(self, target: Path, image: ImageFile, product: Product, plan: Mapping[str, Any]) -> None:
        self.target, self.folder, self._image = target, work_folder(target), image
        decided = plan["decided"]
        run = Decided(decided["device"], tuple(decided["halves"]), decided["tile_size"]).applied_to(product.run)
        self.product = replace(product, run=run)
        self.parts = Parts(run.layout, plan["side"])
        self._journal = Journal(self.folder, PARTS)

    @classmethod
    def begun(
        cls,
        target: Path,
        image: ImageFile,
        product: Product,
        way: Mapping[str, Any],
        *,
        decided: Decided | None = None,
        afresh: bool = False,
    ) -> Unfinished:
        """Begin, or go on with what was begun in the same way.

        Parameters
        ----------
        target, image, product
            What is made from what.
        way
            All that the result depends on.
        decided
            What "auto" became.  None: as it did for the run.
        afresh
            Whether to throw away what was begun in another way.

        Raises
        ------
        SettingsError
            If it was begun in another way.
        FileError
            If the folder cannot be made, or another process is at work on what would be thrown away.
        """
        folder = work_folder(target)
        if afresh and folder.exists() and differences(plan_in(folder).get("way", {}), way):
            if _at_work(folder):
                raise _busy(target)
            _throw_away(target)
        if plan_in(folder) and not (folder / STORE / "0").exists():  # of one that got its name, and was not cleared away
            shutil.rmtree(folder, ignore_errors=True)
        while not (plan := plan_in(folder)):  # again, where another job completes it, and clears its folder away, before that was read
            new = {"way": way, "side": zarr_files.SHARD, "decided": asdict(decided or Decided.of(product.run))}
            _make_folder(folder, new, image, product.dtype, target)
        if different := differences(plan["way"], way):
            raise SettingsError(
                f"{target}: was begun in another way: {different}. Do as then, to go on with it; "
                f"or remove the folder {folder}, to begin anew."
            )
        return cls(target, image, product, plan)

    @classmethod
    def gone_on_with(cls, target: Path, image: ImageFile, product: Product) -> Unfinished:
        """One that another process began, and looked at."""
        return cls(target, image, product, plan_in(work_folder(target)))

    def maker(self) -> PartMaker:
        """What makes its parts."""
        return self.product.maker(self._written(self._image))

    def done(self) -> set[int]:
        """Numbers of the parts that are finished, whoever made them."""
        return {line["part"] for line in self._lines()}

    def add(self, line: Mapping[str, Any]) -> None:
        """Note that a part is finished, as its maker tells."""
        self._journal.add(line)

    def drop_if_completed(self) -> None:
        """Throw away what was begun anew just after another process had completed it, and cleared its folder away."""
        if self.target.exists() and not self.done():
            shutil.rmtree(self.folder / STORE, ignore_errors=True)

    @contextmanager
    def locked(self, name: str) -> Iterator[bool]:
        """Whether nobody else has the lock of that name, which the system takes back from processes that die."""
        lock = _lock(self.folder / f"{name}.lock")
        with failures_named(self.target, *NOT_WRITTEN):
            free = _is_free(lock)
        try:
            yield free
        finally:
            lock.release()

    @contextmanager
    def alone(self, share: Share | None = None) -> Iterator[None]:
        """Let nobody else do the same work at once: a share of it, or all of it.

        Raises
        ------
        FileError
            If another process does it, or a share of what is done here alone.
        """
        with self.locked("all" if share is None else f"share-{share.number}-of-{share.count}") as free:
            # shares do not ask who does all: many of them begin at once, and would meet each other's question
            if not free or (share is None and _at_work(self.folder, "share-*")):
                raise _busy(self.target)
            yield

    def leave(self, error: BaseException) -> None:
        """Remove the folder after something went wrong, if nothing in it is of use for a further try, and nobody is at work there."""
        if (isinstance(error, _OF_NO_USE) or not self.done()) and not _at_work(self.folder):
            _throw_away(self.target)

    def finish(self, source: Path, *, overwrite: bool, do_all: DoAll = one_by_one) -> dict[str, Any] | None:
        """Write the smaller sizes and the record, and give it its name; the record, or None if another process does that or did.

        Parameters
        ----------
        source
            What it was made from.
        overwrite
            Whether an OME-Zarr of that name may be replaced.
        do_all
            Does all pieces of one smaller size.

        Raises
        ------
        FileError
            If it cannot be written, or something has got its name meanwhile.
        """
        if not self.has_image:  # a lock would make the folder again
            return None
        with self.locked("finish") as free:
            if not free or not self.has_image:
                return None
            described = self.product.described(self._image, self._lines(), source)
            parts = self._written(described)
            with failures_named(self.target, *zarr_files.GOES_ON):
                _remove_torn_files(self.folder / STORE)
                parts.finish(do_all)
                if not self._give_name(overwrite):
                    return None
        shutil.rmtree(self.folder, ignore_errors=True)
        return described.provenance

    def _give_name(self, overwrite: bool) -> bool:
        """Whether it has got it here, and not by another process, where the file system knows no locks."""
        if not self.has_image:
            return False
        if self.target.exists():
            if not overwrite:
                raise FileError(
                    f"{self.target}: exists by now; move it away, and run this again to put in its place what is in {self.folder}."
                )
            move(self.target, self.folder / REPLACED)
        try:
            move(self.folder / STORE, self.target)
        except OSError:
            if (self.folder / REPLACED).exists():
                move(self.folder / REPLACED, self.target)
            raise
        return True

    @property
    def has_image(self) -> bool:
        """Whether it is still in its folder: it has not got its name, by whatever process."""
        return (self.folder / STORE / "0" / "zarr.json").is_file()

    def _written(self, image: ImageFile) -> ZarrParts:
        return ZarrParts(self.folder / STORE, image, self.product.dtype, self.target, begun=True)

    def _lines(self) -> list[dict[str, Any]]:
        count = len(self.parts)
        lines = read_journals(journals_in(self.folder, PARTS))
        return [line for line in lines if isinstance(line.get("part"), int) and 0 <= line["part"] < count and _makes_sense(line)]


def _makes_sense(line: Mapping[str, Any]) -> bool:
    """Whether a line tells of a part as `PartMaker` does; one that was damaged counts as none."""
    used, noise, squares = line.get("used"), line.get("noise", []), line.get("hot_pixels", [])
    if not isinstance(used, dict) or not all(name in _PRECISIONS and isinstance(count, int) for name, count in used.items()):
        return False
    if not isinstance(line.get("kept", 0), int):
        return False
    return isinstance(noise, list) and all(isinstance(found, dict) for found in noise) and isinstance(squares, list)


def _lock(path: Path) -> FileLock:
    return FileLock(path, timeout=0, **_SYSTEM_ONLY)


def _is_free(lock: FileLock) -> bool:
    """Take a lock, unless another process has it; a file system that knows no locks gives it to all."""
    try:
        lock.acquire()
    except Timeout:
        return isinstance(lock, SoftFileLock)  # it became one: the file is of anybody, maybe of one that was killed
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _at_work(folder: Path, works: str = "*") -> bool:
    """Whether anybody has a lock in a folder, of all or of some names."""
    for path in folder.glob(f"{works}.lock"):
        lock = _lock(path)
        with failures_named(path, *NOT_WRITTEN):
            free = _is_free(lock)
        lock.release()
        if not free:
            return True
    return False


def _busy(target: Path) -> FileError:
    return FileError(f"{target}: another process is at work on it, in {work_folder(target)}.", mend="busy")


def _throw_away(target: Path) -> None:
    """Remove what was made of a result; what it was about to replace when its process was killed gets its name again."""
    folder = work_folder(target)
    if (folder / REPLACED).exists() and not target.exists():
        with failures_named(target, *NOT_WRITTEN):
            move(folder / REPLACED, target)
    shutil.rmtree(folder, ignore_errors=True)


def _make_folder(folder: Path, plan: Mapping[str, Any], image: ImageFile, dtype: np.dtype[Any], target: Path) -> None:
    """Make it complete, or not at all; where two processes do at once, one is the first and the other goes on with that."""
    new = folder.with_name(f"{folder.name}.{nowhere_else()}.new")
    try:
        with failures_named(target, *NOT_WRITTEN):
            if folder.exists() and not (folder / PLAN).exists():  # what a worker wrote that did not hear that it was over
                shutil.rmtree(folder, ignore_errors=True)
            new.mkdir()
            ZarrParts(new / STORE, image, dtype, target)
            (new / PLAN).write_text(json.dumps(plan))
            _rename_to_new(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _rename_to_new(new: Path, folder: Path) -> None:
    """Give a folder its name, unless another process was the first.

    Raises
    ------
    FileError
        If what has the name is of nobody who is at work, and cannot be removed.
    """
    try:
        os.rename(new, folder)
    except OSError as error:  # how systems say that it is there differs
        if (folder / PLAN).exists():
            return
        if folder.exists():
            raise FileError(f"{folder}: is in the way, and cannot be removed; close what other programs have open in it.") from error
        raise


def _remove_torn_files(store: Path) -> None:
    """What zarr left under temporary names where it was killed."""
    for path in store.rglob("*.partial"):
        path.unlink(missing_ok=True)
