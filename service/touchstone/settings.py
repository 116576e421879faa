"""Every deployment knob, read once: environment and command line to one frozen value.

Each field is the environment variable of its name in capitals after ``TOUCHSTONE_``
(only ``data_dir`` is ``TOUCHSTONE_DATA``); README's table is checked against this.
"""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from touchstone.errors import ConfigurationError, StorageError

PREFIX = "TOUCHSTONE_"
DATA_VARIABLE = f"{PREFIX}DATA"

_MIN_PEPPER_BYTES = 16
_PEPPER_BYTES = 32
_MIN_DISTINCT = 6
"""Different characters below which a secret is a placeholder, such as `aaaa…`."""
_PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "password", "example")


def _model_dir() -> Path:
    # The checkout that this file is part of; else, for an installed wheel, the folder
    # that the command is run in. The weights are no part of the wheel.
    checkout = Path(__file__).parents[2] / "models"
    return checkout if checkout.is_dir() else Path("models")


class Settings(BaseSettings):
    """What a deployment chooses; everything has a default that works on one machine."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Field(
        default=Path("touchstone-data"),
        validation_alias=AliasChoices("data_dir", DATA_VARIABLE),
    )
    """Folder of records, images, index snapshots and the key pepper."""
    model_dir: Path = Field(default_factory=_model_dir)
    """Folder with the models, their manifests and `calibration.json`."""
    database_url: str | None = None
    """`sqlite:///FILE` or `postgresql://…`; a SQLite file in the data folder."""
    blobs_url: str | None = None
    """Folder, or `s3://BUCKET/PREFIX`; `blobs` in the data folder."""
    s3_endpoint: str | None = None
    """URL of an S3-compatible service; Amazon's own if not given."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    provider: Literal["auto", "cpu", "cuda"] = "auto"
    """What runs the models; `cuda` fails where there is none, `auto` never does."""
    pepper: SecretStr | None = None
    """Secret that API keys are hashed with, 16 bytes or more; overrides the file."""
    pepper_file: Path | None = None
    """File of that secret; made in the data folder, mode 0600, where absent."""
    max_upload_bytes: int = Field(default=25_000_000, ge=1_000, le=1_000_000_000)
    """Largest image file accepted."""
    body_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """Seconds for which a request's body is waited for; a steady one gets more."""
    requests_per_minute: int = Field(default=6_000, ge=1)
    """Requests from one key, spread over time."""
    burst: int = Field(default=600, ge=1)
    """How many of those a key may save up and send at once."""
    places: int | None = Field(default=None, ge=1)
    """Photos examined or enrolled at once; one a core if not given."""
    waiting: int = Field(default=16, ge=0, le=30)
    """Requests that may wait for a place; the others are told to come again."""
    patience_s: float = Field(default=30.0, ge=0, le=600)
    """How long, in seconds, one waits for a place."""
    lot_workers: int = Field(default=1, ge=0, le=256)
    """Processes of `serve` that examine the photos of lots; 0 leaves that to others."""
    host: str = "127.0.0.1"
    """Address that `serve` listens on."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """Port that `serve` listens on; 0 takes any that is free."""

    @classmethod
    def load(cls, **chosen: Any) -> Self:
        """Read the environment; what is ``chosen`` and not None goes before it.

        Raises:
            ConfigurationError: a value cannot be honoured; the message names it.
        """
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError(_words(error)) from error

    @property
    def records_url(self) -> str:
        """Where the records lie."""
        if self.database_url is not None:
            return self.database_url
        return f"sqlite:///{self.data_dir.absolute() / 'touchstone.db'}"

    @property
    def snapshots_dir(self) -> Path:
        """Where the index snapshots lie."""
        return self.data_dir / "index"

    def for_cluster(self, *, elsewhere: bool) -> Self:
        """Return the same for the workers of a cluster, which are sent it.

        Args:
            elsewhere: whether they are on other machines.

        Raises:
            ConfigurationError: records or images lie on this machine alone.
        """
        is_shared = self.records_url.startswith("postgresql")
        if elsewhere and not (is_shared and (self.blobs_url or "").startswith("s3://")):
            raise ConfigurationError(
                "Other machines reach only records in PostgreSQL and images in S3: set "
                "TOUCHSTONE_DATABASE_URL to postgresql://… and TOUCHSTONE_BLOBS_URL to "
                "s3://…."
            )
        return self.model_copy(
            update={
                "data_dir": self.data_dir.absolute(),
                "model_dir": self.model_dir.absolute(),
                # Workers check no API keys: the secret of those stays here.
                "pepper": SecretStr(secrets.token_hex(_PEPPER_BYTES)),
            }
        )

    def key_pepper(self, *, create: bool) -> bytes:
        """Return the secret that API keys are hashed with.

        Args:
            create: make the file where it is absent.

        Raises:
            ConfigurationError: it is missing, a placeholder, or too short.
            StorageError: the file can be neither read nor made.
        """
        if self.pepper is not None:
            return _checked_pepper(self.pepper.get_secret_value().encode())
        path = self.pepper_file or self.data_dir / "pepper"
        try:
            if create:
                _make_pepper(path)
            return _checked_pepper(path.read_bytes().strip())
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"The key pepper {path} is missing; without it no API key is valid. "
                "Restore it, or let `touchstone serve` make a new one."
            ) from error
        except OSError as error:
            raise StorageError(
                f"The key pepper {path} cannot be read or made: {error.strerror}."
            ) from error


def _make_pepper(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written aside and linked into place: of two processes that start at once both
    # must end with the same whole secret, or one's keys would be void.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_PEPPER_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _checked_pepper(pepper: bytes) -> bytes:
    text = pepper.decode("utf-8", "replace").lower()
    if len(pepper) < _MIN_PEPPER_BYTES:
        raise ConfigurationError(
            f"The key pepper needs {_MIN_PEPPER_BYTES} bytes or more."
        )
    is_placeholder = any(word in text for word in _PLACEHOLDERS)
    if is_placeholder or len(set(text)) < _MIN_DISTINCT:
        raise ConfigurationError(
            "The key pepper is a placeholder; put a random secret in its place."
        )
    return pepper


def _words(error: ValidationError) -> str:
    # The values are left out: one of them may be the pepper.
    problems = (
        f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: "
        f"{problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )
    return "A setting cannot be honoured: " + "; ".join(problems) + "."
