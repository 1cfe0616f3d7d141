"""How fast work goes and how long it takes, as people read it."""


class Pace:
    """How fast it goes, and how long it will take.

    Parameters
    ----------
    total
        Pixels to do.
    now
        Time at the start, in seconds.
    """

    def __init__(self, total: int, now: float) -> None:
        self.total, self._begin = total, now

    def describe(self, done: int, now: float) -> str:
        """Share done, megapixels a second and time left, for a progress bar."""
        seconds = max(now - self._begin, 1e-3)
        return f"{100 * done // self.total} % · {megapixels(done / seconds)}/s · {time_left(done, self.total, seconds)}"


def share_done(done: int, total: int, seconds: float) -> str:
    """Share done and time left, where pixels a second would say nothing."""
    return f"{100 * done // total} % · {time_left(done, total, seconds)}"


def time_left(done: int, total: int, seconds: float) -> str:
    """How long the rest will take, if it goes on as it did for some seconds."""
    return f"{duration(seconds / done * (total - done))} left"


def megapixels(pixels: float) -> str:
    """A number of pixels as people read it, such as "225 pixels", "0.26 MPix" or "134 MPix"."""
    if pixels < 1e4:
        return "1 pixel" if round(pixels) == 1 else f"{pixels:.0f} pixels"
    millions = pixels / 1e6
    return f"{millions:.0f} MPix" if millions >= 10 else f"{millions:.2g} MPix"


def duration(seconds: float) -> str:
    """A time as people read it: "0.4 s", "12 s", "3 min", "1 h 05 min"."""
    if seconds < 0.95:
        return f"{seconds:.1g} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
