"""What the thread of a preview does: it denoises what was asked for last, piece by piece."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.interruption import Interrupted, check_if_wanted, interruptibly
from napari_ne_denoise.core.tiling import Window, inside
from napari_ne_denoise.gui.base.long_task import give_way
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.preview.preview_canvas import Canvas, in_cells, on_layer_axes
from napari_ne_denoise.gui.preview.preview_view import Seen

if TYPE_CHECKING:
    from napari_ne_denoise.core.regions import Regions


@dataclass(frozen=True, eq=False)
class Subject:
    """An image and how it is denoised; another image or other settings make another subject."""

    source: Source
    layout: PlaneLayout
    settings: dict[str, Any]

    def is_like(self, other: "Subject | None") -> bool:
        """Whether what was computed for one holds for the other."""
        return other is not None and self.source.data is other.source.data and self.settings == other.settings

    def planes_at(self, position: tuple[int, ...]) -> list[Index]:
        """The plane at a position in the layer, or the planes of its colours."""
        if not self.source.rgb:
            return [self.layout.plane_at(position)]
        return [self.layout.plane_at((*position, colour)) for colour in range(self.layout.shape[-1])]


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be seen."""

    subject: Subject
    seen: Seen
    strength: float

    def is_like(self, other: "Wish | None") -> bool:
        """Whether the same is to be seen."""
        return other is not None and self.looks_at_what(other) and self.strength == other.strength

    def looks_at_what(self, other: "Wish") -> bool:
        """Whether the same is to be seen, but for its strength."""
        return self.subject is other.subject and self.seen == other.seen


@dataclass(frozen=True, eq=False)
class Painted:
    """A preview as far as it is done.

    Attributes
    ----------
    wish
        Whose it is.
    values
        With the axes of the layer.  The thread goes on filling it.
    window
        Rows and columns that it covers.
    is_done
        Whether everything that is seen is denoised.
    """

    wish: Wish
    values: np.ndarray
    window: Window
    is_done: bool


@dataclass(frozen=True, eq=False)
class NotPainted:
    """Why there is no preview."""

    wish: Wish
    reason: str


class Desk:
    """Where the window leaves what it wishes, and the thread takes it: the latest wish only."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._wish: Wish | None = None
        self._current: Wish | None = None
        self._obsolete = threading.Event()
        self._closed = False

    def ask(self, wish: Wish) -> None:
        """Wish for something; what is being computed for another view or subject ends within a layer of the network."""
        with self._news:
            # a change of strength waits for the piece: what is computed is needed all the same
            if self._current is None or not wish.looks_at_what(self._current):
                self._obsolete.set()
            self._wish = wish
            self._news.notify()

    def drop(self) -> None:
        """Wish for nothing for now."""
        with self._news:
            self._wish = None
            self._obsolete.set()

    def close(self) -> None:
        """Wish for nothing any more."""
        with self._news:
            # also what was taken: the thread may end without asking for more, and the image would stay in memory
            self._closed, self._wish, self._current = True, None, None
            self._obsolete.set()
            self._news.notify()

    @property
    def has_news(self) -> bool:
        """Whether something else is wished for than what was taken."""
        return self._wish is not None or self._closed

    def take(self) -> tuple[Wish, threading.Event] | None:
        """Wait for the next wish, and an event that tells when it is obsolete; None when there will be none."""
        with self._news:
            self._current = None
            self._news.wait_for(lambda: self._closed or self._wish is not None)
            if self._wish is None or self._closed:
                return None
            self._current, self._wish = self._wish, None
            self._obsolete = threading.Event()
            return self._current, self._obsolete


def paint_previews(desk: Desk) -> Iterator[Painted | NotPainted]:
    """Fulfil wishes until there will be none; in a thread of its own, which is changed for good."""
    give_way()
    painter = _Painter()
    try:
        while (order := desk.take()) is not None:
            wish, obsolete = order
            try:
                yield from interruptibly(obsolete, painter.paint(wish, desk))
            except Interrupted:
                check_if_wanted()  # it may be that nothing is wanted any more
            except NEDenoiseError as error:
                yield NotPainted(wish, in_window(error))
            del order, wish
    finally:
        painter.close()


class _Painter:
    """Keeps what one wish and the next have in common."""

    def __init__(self) -> None:
        self._subject: Subject | None = None
        self._regions: Regions | None = None
        self._canvas: Canvas | None = None
        self._shown, self._strength = np.zeros(0), 1.0

    def paint(self, wish: Wish, desk: Desk) -> Iterator[Painted]:
        regions = self._open(wish.subject)
        canvas = self._prepare(wish, regions)
        piece = canvas.next_piece(wish.seen.window)
        if piece is None:
            yield self._painted(wish, is_done=True)
        while piece is not None:
            for number, plane in enumerate(canvas.planes):
                region = regions.compute(plane, piece)
                place = (number, *inside(piece, canvas.window))
                canvas.denoised[place] = region.denoised
                self._shown[place] = region.at(self._strength)
            canvas.note_done(piece)
            piece = canvas.next_piece(wish.seen.window)
            yield self._painted(wish, is_done=piece is None)
            if desk.has_news:
                return

    def close(self) -> None:
        """Forget everything."""
        if self._regions is not None:
            self._regions.close()
        self._subject = self._regions = self._canvas = None
        self._shown = np.zeros(0)

    def _open(self, subject: Subject) -> "Regions":
        if self._regions is None or not subject.is_like(self._subject):
            self.close()
            from napari_ne_denoise.core.inference import prepare_denoising  # brings torch, which takes seconds
            from napari_ne_denoise.core.regions import Regions

            self._regions = Regions(prepare_denoising(subject.source.data, **subject.settings))
            self._subject = subject
        return self._regions

    def _prepare(self, wish: Wish, regions: "Regions") -> Canvas:
        """The canvas there is, if it holds what is seen, or a new one, with what there is of it already."""
        before, planes = self._canvas, wish.subject.planes_at(wish.seen.position)
        same_planes = before is not None and list(before.planes) == planes
        if before is not None and same_planes and before.holds(wish.seen.window):
            if self._strength != wish.strength:
                self._strength = wish.strength
                self._shown[...] = self._blended(before, regions)
            return before
        window = in_cells(wish.seen.window, wish.subject.layout.plane_shape)
        canvas = Canvas(planes, window, np.stack([regions.read(plane, window) for plane in planes]))
        if before is not None and same_planes:
            canvas.take_over(before)
        self._canvas, self._strength = canvas, wish.strength
        self._shown = self._blended(canvas, regions)
        return canvas

    def _blended(self, canvas: Canvas, regions: "Regions") -> np.ndarray:
        from napari_ne_denoise.core.regions import Region

        pairs = zip(canvas.noisy, canvas.denoised, strict=True)
        return np.stack([Region(noisy, denoised, regions.dtype).at(self._strength) for noisy, denoised in pairs])

    def _painted(self, wish: Wish, *, is_done: bool) -> Painted:
        assert self._canvas is not None
        values = on_layer_axes(self._shown, wish.subject.layout, wish.subject.source.rgb)
        return Painted(wish, values, self._canvas.window, is_done)
