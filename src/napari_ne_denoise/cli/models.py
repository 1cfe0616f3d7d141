"""``models list | show | fetch | verify``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import FAILED, ProgressLine, errors_end_the_program, print_json, print_table, say, table_lines
from napari_ne_denoise.core.errors import NEDenoiseError

if TYPE_CHECKING:
    from napari_ne_denoise.core.models.registry import ModelRow

LINE = 100  # characters
INDENT = "    "

app = typer.Typer(help="The models that can be asked for by name.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List all models: their law, whether they are blind, whether they are on this machine, their licence, and what they are for."""
    from napari_ne_denoise.core.models.registry import list_models

    with errors_end_the_program():
        rows = list_models()
        if as_json:
            print_json([_record(row) for row in rows])
            return
        header, *lines = table_lines([("NAME", "LAW", "NOISE LEVEL", "HERE", "LICENCE"), *(_cells(row) for row in rows)])
        print(header)
        for row, line in zip(rows, lines, strict=True):
            print(line, _about(row), sep="\n")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    everything: Annotated[bool, typer.Option("--all", help="The recipe of its training too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is known of one model: its card, if its file is on this machine."""
    from napari_ne_denoise.core.models.fetch import is_here
    from napari_ne_denoise.core.models.registry import find_model

    with errors_end_the_program():
        row = find_model(name)
        record = _record(row) | (_card(row) if is_here(row) else {})
        if as_json:
            print_json(record)
        else:
            print_table(list(_wrapped(list(_flat(_for_people(record, everything=everything))))))


@app.command()
def fetch(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Of the models.")], quiet: Quiet = False) -> None:
    """Fetch published models, and print where their files are."""
    from napari_ne_denoise.core.models.fetch import fetch as fetch_model
    from napari_ne_denoise.core.models.registry import find_model

    with errors_end_the_program():
        rows = [find_model(name) for name in names]
        failed = False
        for row in rows:
            progress = _Download(ProgressLine(row.name, "MB", quiet=quiet))
            try:
                if not row.packaged and not quiet:
                    say(f"note: {row.name}: {row.licence}, from {row.url}")
                print(fetch_model(row, progress), flush=True)
            except NEDenoiseError as error:
                failed = True
                say(f"error: {error}")
            finally:
                progress.close()
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Of the models; none: all that are here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare model files with their known or remembered SHA-256."""
    from napari_ne_denoise.core.models.fetch import is_here
    from napari_ne_denoise.core.models.registry import find_model, list_models

    with errors_end_the_program():
        rows = [find_model(name) for name in names] if names else [row for row in list_models() if is_here(row)]
        records = [_verified(row) for row in rows]
        if as_json:
            print_json(records)
        else:
            for record in records:
                print(f"{record['name']}: {'unchanged' if record['unchanged'] else 'NOT VERIFIED'}  {record['sha256'] or ''}".rstrip())
        for record in records:
            if record["error"]:
                say(f"error: {record['error']}")
    if not all(record["unchanged"] for record in records):
        raise typer.Exit(FAILED)


class _Download:
    """Shows how far a download is."""

    def __init__(self, line: ProgressLine) -> None:
        self.total, self._done, self._line = 0.0, 0.0, line

    def update(self, amount: int, /) -> None:
        self._done += amount
        self._line.show(min(self._done, self.total or self._done), self.total)

    def reset(self) -> None:
        self._done = 0.0

    def close(self) -> None:
        self._line.clear()


def _verified(row: ModelRow) -> dict[str, Any]:
    from napari_ne_denoise.core.models.fetch import local_path, verify

    record: dict[str, Any] = {"name": row.name, "path": str(local_path(row)), "sha256": None, "unchanged": False, "error": None}
    try:
        return record | {"sha256": verify(row), "unchanged": True}
    except NEDenoiseError as error:
        return record | {"error": str(error)}


def _record(row: ModelRow) -> dict[str, Any]:
    from napari_ne_denoise.core.models.fetch import is_here, local_path

    return asdict(row) | {"packaged": row.packaged, "here": is_here(row), "path": str(local_path(row))}


def _cells(row: ModelRow) -> tuple[str, ...]:
    from napari_ne_denoise.core.models.fetch import is_here

    here = ("packaged" if row.packaged else "fetched") if is_here(row) else ("MISSING" if row.packaged else "no")
    return row.name, row.equivariance, "blind" if row.blind else "needs sigma", here, row.licence.split(" ")[0]


def _about(row: ModelRow) -> str:
    measured = row.speed and f" {row.character[0].upper()}{row.character[1:]}."
    return textwrap.fill(row.summary + measured, LINE, initial_indent=INDENT, subsequent_indent=INDENT)


def _card(row: ModelRow) -> dict[str, Any]:
    from napari_ne_denoise.core.inference import load_denoiser

    card = asdict(load_denoiser(row.name).card)
    return {key: value for key, value in card.items() if key in ("source", "training", "began_from", "scores", "limits")}


def _for_people(record: dict[str, Any], *, everything: bool) -> dict[str, Any]:
    """The same record, its scores by subject, and without the recipe that repeats the training unless all is wanted."""
    training, scores = record.get("training", {}), record.get("scores", {})
    if "recipes" in training and not everything:
        training = training | {"recipes": "printed with --all"}
    return record | {"training": training, "scores": {of: _by_subject(found) for of, found in scores.items()}}


def _by_subject(scores: Any) -> Any:
    """Scores such as "Set12, σ = 5" and "Set12, σ = 10", those of Set12 in one text."""
    if not isinstance(scores, dict):
        return scores
    subjects: dict[str, list[str]] = {}
    for name, score in scores.items():
        subject, _, rest = name.partition(", ")
        subjects.setdefault(subject, []).append(f"{rest}: {score}" if rest else str(score))
    return {subject: "; ".join(found) for subject, found in subjects.items()}


def _flat(record: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Names and values of a nested record, each table below a heading; what is empty is left out."""
    tables = {key: value for key, value in record.items() if isinstance(value, dict)}
    plain = {key: value for key, value in record.items() if key not in tables and value not in (None, "", [], ())}
    if path and plain:
        yield path[0], ", ".join(path[1:])
    for key, value in plain.items():
        yield ("  " if path else "") + key, _text(value)
    for key, table in tables.items():
        yield from _flat(table, (*path, key))


def _text(value: Any) -> str:
    """Sentences in lines of their own, numbers in one."""
    if not isinstance(value, list | tuple):
        return str(value)
    return ("\n" if any(isinstance(item, str) for item in value) else "; ").join(map(str, value))


def _wrapped(rows: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Rows whose second column is so narrow that a line holds both."""
    room = LINE - max(len(name) for name, _ in rows) - 2
    for name, text in rows:
        lines = [line for part in text.splitlines() for line in textwrap.wrap(part, room)] or [""]
        yield name, lines[0]
        yield from (("", line) for line in lines[1:])
