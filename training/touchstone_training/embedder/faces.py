"""Photos as they are searched with: the face alone, where the localiser finds one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from touchstone.bootstrap import open_localiser
from touchstone.engine.localisation import Localiser, face_alone
from touchstone.errors import ModelError
from touchstone.settings import Settings
from touchstone_training.data import Image

Opener: TypeAlias = Callable[[], Localiser]
"""Goes to another process in a localiser's place: no session of ONNX Runtime does."""


def localiser_in(models: Path) -> Localiser:
    """Open the localiser that is served in ``models``.

    Raises:
        ModelError: there is none, or it was altered.
    """
    localiser = open_localiser(Settings.load(model_dir=models, provider="cpu"))
    if localiser is None:
        raise ModelError(f"{models} has no localiser to cut out faces with.")
    return localiser


def face_in(photo: Image, localiser: Localiser) -> Image:
    """Cut out the face; the photo itself where none is found."""
    alone = face_alone(photo, localiser.locate(photo))
    return photo if alone is None else alone
