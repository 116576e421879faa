"""``touchstone``: data on stdout, words on stderr, an exit code that says which.

Each module holds the commands of one subject; nothing but words, tables and exit
codes is decided here.
"""

import sys
import traceback
from collections.abc import Sequence

import typer

from touchstone.cli import (
    access,
    conclusions,
    demonstration,
    examining,
    filing,
    lots,
    references,
    serving,
    upkeep,
)
from touchstone.cli.exits import Exit, exit_code_of
from touchstone.cli.output import complain
from touchstone.errors import TouchstoneError

_NAME = "touchstone"

app = typer.Typer(
    name=_NAME,
    help="Hold photographs of packages against the brand owner's references.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: README repeats it word by word
)
app.command()(references.enrol)
app.command()(examining.verify)
app.command()(examining.score)
lots.lot.command("plan")(conclusions.plan)
lots.lot.command("conclude")(conclusions.conclude_lot)
lots.lot.command("report")(conclusions.report)
app.add_typer(lots.lot, name="lot")
app.add_typer(filing.filing, name="file")
app.command()(serving.serve)
app.command()(lots.work)
app.command()(demonstration.demo)
app.add_typer(upkeep.index, name="index")
app.command()(upkeep.migrate)
app.command()(upkeep.fsck)
app.add_typer(access.keys, name="keys")
app.add_typer(access.organisations, name="organisations")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every deliberate error ends here, as words and a code.

    Args:
        arguments: after the program's name; those of the process if not given.

    Raises:
        SystemExit: always, with one of the codes of `Exit`.
    """
    try:
        app(args=arguments, prog_name=_NAME)
    except TouchstoneError as error:
        complain(str(error))
        sys.exit(exit_code_of(error))
    except Exception:
        # Python itself would exit with 1, which says that something is inconsistent.
        traceback.print_exc()
        sys.exit(Exit.FAILURE)
