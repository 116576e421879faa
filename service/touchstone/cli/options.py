"""The options that every command takes, and how their values reach the settings."""

from pathlib import Path
from typing import Annotated

import typer

from touchstone.settings import DATA_VARIABLE, Settings

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        metavar="DIR",
        file_okay=False,
        help="Folder of records, images and index.",
        show_default="./touchstone-data",
    ),
]

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON lines on stdout, for programs.")
]


def settings_with(data: Path | None, **chosen: object) -> Settings:
    """Return the settings of this run.

    Args:
        data: folder of records, images and index.
        chosen: other settings; None where the command line says nothing.

    Raises:
        ConfigurationError: one cannot be honoured.
    """
    return Settings.load(data_dir=data, **chosen)
