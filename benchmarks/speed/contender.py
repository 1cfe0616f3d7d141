"""``python -m benchmarks.speed.contender ARCHITECTURE STYLE PRECISION``: one network in a process of its own.

It denoises one image for every line that comes in, and answers with a line.
"""

from __future__ import annotations

import sys

import torch

from benchmarks.speed.architectures import ARCHITECTURES, inference_call


def main(name: str, style: str, precision: str) -> None:
    """Answer until nothing comes in any more."""
    (architecture,) = (architecture for architecture in ARCHITECTURES if architecture.name == name)
    call = inference_call(architecture, style, getattr(torch, precision))
    print("ready", flush=True)
    for _ in sys.stdin:
        call()
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
