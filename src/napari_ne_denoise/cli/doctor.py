"""``doctor``: what a report about a fault needs, and whether denoising works at all."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ne_denoise.cli.console import FAILED, errors_end_the_program, print_json, say


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON.")] = False) -> None:
    """Tell what a report about a fault needs, and check that the default model works here; takes seconds.

    Prints versions, devices and why one is not used, memory, folders, models with their hashes compared, and what the packaged sample
    becomes.  There are no secrets in it: paste it as it is.
    """
    with errors_end_the_program():
        from napari_ne_denoise.core.doctor import as_text, examine

        report = examine()
        if as_json:
            print_json(report)
        else:
            print(as_text(report), end="", flush=True)
        for problem in report["problems"]:
            say(f"error: {problem}")
    if report["problems"]:
        raise typer.Exit(FAILED)
