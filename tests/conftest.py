"""What every test is given: a small model, and the same examples on each run."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from small_world import write_models

settings.register_profile(
    "touchstone",
    deadline=None,  # other work on the machine is no failure
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("touchstone")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the tiny embedder, its manifest and a calibration."""
    return write_models(tmp_path_factory.mktemp("models"))
