"""The command line: parse, call core, print.  What needs torch is imported where it is used, so that --help is quick."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from napari_ne_denoise.cli import assess, check, demo, denoise, doctor, filters, maps, models, noise, spectrum
from napari_ne_denoise.cli.console import TERMINATED
from napari_ne_denoise.core.threads import keep_to_those_given

app = typer.Typer(
    name="napari-ne-denoise",
    help="Denoise microscopy images in their own units, with normalization-equivariant networks.",
    epilog="Exit codes: 0 all went well, 1 some of it failed, 2 the request cannot be fulfilled as it is, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    # plain text, which a script can read too
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("denoise")(denoise.denoise)
app.add_typer(models.app, name="models")
app.command("check")(check.check)
app.command("noise")(noise.noise)
app.command("filters")(filters.filters)
app.command("maps")(maps.maps)
app.command("spectrum")(spectrum.spectrum)
app.command("assess")(assess.assess)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from napari_ne_denoise.core.provenance import KEY, package_version

        print(KEY, package_version(KEY))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    # ended by a scheduler or `timeout`: leave through the clean-up, as Ctrl-C does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    keep_to_those_given()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            _let_names_through(stream)
    app(prog_name="napari-ne-denoise")


def _let_names_through(stream: TextIOWrapper) -> None:
    """Write to files and pipes as the system writes names of files: on Windows UTF-8, where Python would take a code page with no σ."""
    wanted = None if stream.isatty() or os.environ.get("PYTHONIOENCODING") else sys.getfilesystemencoding()
    stream.reconfigure(encoding=wanted, errors="replace")  # a console may know no λ
