"""What every test is given: a small model, records, and the same examples each run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, policy_fields, write_policy
from hypothesis import HealthCheck, settings
from small_world import write_models

from touchstone.store import migrate

settings.register_profile(
    "touchstone",
    deadline=None,  # other work on the machine is no failure
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("touchstone")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the tiny embedder, and a policy for the scenes."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    write_policy(folder, policy_fields())
    return folder


@pytest.fixture
def own_models(model_dir: Path, tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return Path(shutil.copytree(model_dir, tmp_path / "models"))


@pytest.fixture(scope="session")
def migrated_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the newest schema and nothing in it."""
    file = tmp_path_factory.mktemp("records") / "touchstone.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def deployment(
    tmp_path: Path, model_dir: Path, migrated_records: Path
) -> Iterator[Deployment]:
    """A deployment with nothing enrolled."""
    made = Deployment.begin(tmp_path / "data", model_dir, migrated_records)
    yield made
    made.parts.close()


@pytest.fixture(scope="module")
def shipped(
    tmp_path_factory: pytest.TempPathFactory, migrated_records: Path
) -> Iterator[Deployment]:
    """A deployment of the shipped models and policy, with nothing enrolled."""
    models = Path(__file__).parents[1] / "models"
    folder = tmp_path_factory.mktemp("shipped")
    made = Deployment.begin(folder, models, migrated_records)
    yield made
    made.parts.close()
