"""How often a layer that fills up is drawn again."""

SHORTEST_PAUSE = 0.1  # seconds between two redraws
# redrawing a large layer takes long: it gets at most one sixth of the window's time
PAUSE_PER_REDRAW = 5


def pause_after(seconds: float) -> float:
    """How many seconds to wait after a redraw that took so many."""
    return max(SHORTEST_PAUSE, PAUSE_PER_REDRAW * seconds)
