"""How large a patch may be whose Jacobian is taken apart, and what that costs; needs no torch, so that a window can tell at once."""

SIDE = 32  # pixels
LARGEST_SIDE = 64


def pixels_to_compute(side: int, reach: int, stride: int) -> int:
    """How many pixels go through the network for a square patch: a field for each of its pixels, and half the reach around each."""
    around = -(-(reach // 2 + 1) // stride) * stride
    return int(side**2 * (side + 2 * around) ** 2)
