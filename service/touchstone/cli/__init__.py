"""``touchstone``: data on stdout, words on stderr, an exit code that says which.

Each module holds the commands of one subject; nothing but words, tables and exit
codes is decided here.
"""

import sys

import typer

from touchstone.cli import access, demonstration, examining, references, serving, upkeep
from touchstone.cli.exits import exit_code_of
from touchstone.cli.output import complain
from touchstone.errors import TouchstoneError

app = typer.Typer(
    name="touchstone",
    help="Hold photographs of packages against the brand owner's references.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(references.enrol)
app.command()(examining.verify)
app.command()(examining.score)
app.command()(serving.serve)
app.command()(demonstration.demo)
app.add_typer(upkeep.index, name="index")
app.command()(upkeep.migrate)
app.command()(upkeep.fsck)
app.add_typer(access.keys, name="keys")
app.add_typer(access.organisations, name="organisations")


def main() -> None:
    """Run the command line; every deliberate error ends here, as words and a code."""
    try:
        app()
    except TouchstoneError as error:
        complain(str(error))
        sys.exit(exit_code_of(error))
