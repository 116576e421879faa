"""Where what a command has to say goes: JSON and tables to stdout, words to stderr.

Text from files and records is printed as it stands: no markup, no control character.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from touchstone.cli.exits import Exit
from touchstone.lots.names import printable

words = Console(stderr=True, highlight=False)
"""For people."""

_PIPED_COLUMNS = 140
"""Width of a table that goes to a file or a program, where no terminal wraps it."""


def say(text: str, *, style: str = "") -> None:
    """Tell a person something, on stderr."""
    words.print(Text(printable(text), style=style), soft_wrap=True)


def complain(text: str) -> None:
    """Tell a person what went wrong, on stderr."""
    words.print(Text.assemble(("Error: ", "bold red"), printable(text)), soft_wrap=True)


def emit(document: Mapping[str, Any]) -> None:
    """Write one JSON line to stdout, at once."""
    try:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Whoever read has gone. Without this the interpreter exits with 1 or 120,
        # and 1 would say that something is inconsistent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.FAILURE) from error


def show(table: Table) -> None:
    """Print a table to stdout."""
    is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(highlight=False, width=None if is_known else _PIPED_COLUMNS).print(table)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table of plain text."""
    table = Table(header_style="bold", show_lines=True)
    for column in columns:
        # Folded, never cut short: half an id is no id.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(
                cell
                if isinstance(cell, Text)
                else Text(printable("" if cell is None else str(cell)))
                for cell in row
            )
        )
    return table


class _RateColumn(ProgressColumn):
    """Photos a second, as the estimate of the rest uses it."""

    def render(self, task: Task) -> Text:
        if task.speed is None:
            return Text("- /s")
        return Text(f"{task.speed:.1f}/s")


@contextmanager
def progress_bar(label: str) -> Iterator["Bar"]:
    """Show a bar with count, rate and time left on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=words, speed_estimate_period=60) as progress:
        yield Bar(progress, label)


class Bar:
    """A progress bar that learns its length with its first news."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def advance_to(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        self._progress.update(self._task, completed=done, total=total)
