"""Settings: from the environment, frozen, and without a secret that anyone knows."""

import pickle
import stat
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from touchstone.errors import ConfigurationError, StorageError
from touchstone.settings import Settings

GOOD = "b7c1f0a95e2d4368a1c9e0d7f3b25a64"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "MODEL_DIR", "DATABASE_URL", "PEPPER", "PORT", "PROVIDER"):
        monkeypatch.delenv(f"TOUCHSTONE_{name}", raising=False)


def test_every_setting_has_a_default_that_works_on_one_machine() -> None:
    settings = Settings.load()
    assert settings.data_dir == Path("touchstone-data")
    assert settings.records_url.endswith("/touchstone-data/touchstone.db")
    assert settings.model_dir.name == "models"
    assert settings.host == "127.0.0.1"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_DATA", "/srv/stone")
    monkeypatch.setenv("TOUCHSTONE_PORT", "9000")
    settings = Settings.load()
    assert settings.data_dir == Path("/srv/stone")
    assert settings.snapshots_dir == Path("/srv/stone/index")
    assert settings.port == 9000


def test_what_is_chosen_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOUCHSTONE_DATA", "/srv/stone")
    monkeypatch.setenv("TOUCHSTONE_PROVIDER", "cuda")
    settings = Settings.load(data_dir=Path("here"), provider=None)
    assert settings.data_dir == Path("here")
    assert settings.provider == "cuda"


def test_a_wrong_value_is_named_but_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOUCHSTONE_PROVIDER", "hunter2")
    with pytest.raises(ConfigurationError, match="provider") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="datadir"):
        Settings.load(datadir="x")


def test_settings_travel_to_worker_processes_and_cannot_be_changed() -> None:
    settings = Settings.load(data_dir=Path("here"), pepper=GOOD)
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_the_pepper_shows_nowhere() -> None:
    assert GOOD not in repr(Settings.load(pepper=GOOD))


def test_a_pepper_is_made_once_readable_by_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "data")
    made = settings.key_pepper(create=True)
    path = tmp_path / "data" / "pepper"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings.key_pepper(create=True) == made
    assert settings.key_pepper(create=False) == made
    assert [file.name for file in path.parent.iterdir()] == ["pepper"]


def test_two_data_folders_have_two_peppers(tmp_path: Path) -> None:
    first = Settings.load(data_dir=tmp_path / "a").key_pepper(create=True)
    assert first != Settings.load(data_dir=tmp_path / "b").key_pepper(create=True)


def test_all_who_start_at_once_get_the_same_pepper(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with ThreadPool(8) as pool:
        made = pool.map(lambda _: settings.key_pepper(create=True), range(32))
    assert len(set(made)) == 1


def test_a_missing_pepper_is_not_replaced_in_silence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        Settings.load(data_dir=tmp_path).key_pepper(create=False)


@pytest.mark.parametrize(
    "pepper", ["short", "changeme-changeme-changeme", "a" * 40, "my-Secret-my-secret!"]
)
def test_a_placeholder_is_no_pepper(pepper: str) -> None:
    with pytest.raises(ConfigurationError, match="pepper"):
        Settings.load(pepper=pepper).key_pepper(create=False)


def test_a_pepper_that_cannot_be_made_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="pepper"):
        Settings.load(data_dir=tmp_path / "file").key_pepper(create=True)
