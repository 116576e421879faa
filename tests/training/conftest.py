"""What several tests of the training package share."""

from pathlib import Path

import pytest
from localiser_scenes import pictures, real_scene

from touchstone_training.localiser.pack import Pack, read_pack, write_pack


@pytest.fixture(scope="session")
def pack_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pictures.npz"
    real = [real_scene()]
    write_pack(path, pictures(), long_side_px=160, scenes=real, held_scenes=real)
    return path


@pytest.fixture(scope="session")
def pack(pack_file: Path) -> Pack:
    return read_pack(pack_file)
