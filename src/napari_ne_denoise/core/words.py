"""Numbers as people read them, in the window and on the command line."""


def percent(share: float, digits: int = 0) -> str:
    """A share, such as "25 %"; with a space, as the SI has it."""
    return f"{100 * share:.{digits}f} %"
