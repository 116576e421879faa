"""One deployment for each test, from a database that was migrated once."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from web.world import MAX_UPLOAD, World, deployment

from touchstone.store import migrate
from touchstone.web.limits import WebLimits

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("web") / "migrated.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def fresh_world(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeWorld]:
    """Makes deployments, each on records of its own, and closes them at the end."""
    made: list[World] = []

    def make(
        *,
        max_bytes: int = MAX_UPLOAD,
        limits: WebLimits | None = None,
        **chosen: float,
    ) -> World:
        folder = tmp_path_factory.mktemp("data")
        shutil.copy(migrated, folder / "records.db")
        world = deployment(
            folder,
            f"sqlite:///{folder / 'records.db'}",
            max_bytes=max_bytes,
            limits=limits,
            **chosen,
        )
        world.http.__enter__()  # one event loop for all its requests; closes at exit
        made.append(world)
        return world

    yield make
    for world in made:
        world.http.__exit__()


@pytest.fixture
def world(fresh_world: MakeWorld) -> World:
    return fresh_world()


@pytest.fixture(scope="module")
def shared_world(fresh_world: MakeWorld) -> World:
    """For tests that only add to it, and count nothing."""
    return fresh_world()
