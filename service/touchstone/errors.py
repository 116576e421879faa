"""Every deliberate error, drawn as a tree; each sentence says what to do.

::

    TouchstoneError
    ├── BadImageError                the bytes are not a picture we accept
    │   ├── NotAnImageError          no known image format
    │   ├── UnsupportedFormatError   a known format outside the allowlist
    │   ├── ImageTooLargeError       more bytes than accepted
    │   ├── ImageBombError           header announces too many pixels or frames
    │   └── TruncatedImageError      header fine, picture damaged or cut short
    ├── InvalidInputError            a field or row is wrong (names which)
    ├── NotAuthenticatedError        no key, or a key that is unknown, expired, revoked
    ├── NotAllowedError              the key's role may not do this
    ├── NotFoundError                no such thing, or none that the caller may see
    ├── ConflictError                it contradicts what is already recorded
    ├── IdempotencyMismatchError     the same Idempotency-Key with another body
    ├── BusyError                    try again in a moment
    ├── StorageError                 disk, object store or database refused
    ├── ModelError                   a model is missing, altered or cannot run as asked
    ├── IndexDamagedError            a snapshot does not match its manifest
    └── ConfigurationError           a setting cannot be honoured

Status codes are mapped only in ``web/problems.py``, exit codes only in ``cli.py``.
"""


class TouchstoneError(Exception):
    """Base of every deliberate error; ``str(error)`` is a sentence for the caller."""


class BadImageError(TouchstoneError):
    """The bytes are not a picture we accept; nothing was recorded."""


class NotAnImageError(BadImageError):
    """The bytes carry no image format that we know."""


class UnsupportedFormatError(BadImageError):
    """A known image format, but not one of those accepted."""


class ImageTooLargeError(BadImageError):
    """The file has more bytes than accepted."""


class ImageBombError(BadImageError):
    """The header announces more pixels, a longer side or more frames than accepted."""


class TruncatedImageError(BadImageError):
    """The header is sound but the picture is damaged or cut short."""


class InvalidInputError(TouchstoneError):
    """A value is wrong; ``field`` names it (``row`` too where there are rows)."""

    def __init__(
        self, message: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.row = row


class NotAuthenticatedError(TouchstoneError):
    """No API key, or one that is unknown, expired or revoked."""


class NotAllowedError(TouchstoneError):
    """The caller's role may not do this."""


class NotFoundError(TouchstoneError):
    """No such thing, or none that the caller may see: the two look the same."""


class ConflictError(TouchstoneError):
    """The request contradicts what is already recorded."""


class IdempotencyMismatchError(TouchstoneError):
    """An Idempotency-Key was used again with a different request."""


class BusyError(TouchstoneError):
    """The service has as much work as it can hold; retry after ``retry_after_s``."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageError(TouchstoneError):
    """The disk, the object store or the database refused.

    ``is_full`` if for space; ``is_away`` if the database could not be reached, which
    passes when its server is there again.
    """

    def __init__(
        self, message: str, *, is_full: bool = False, is_away: bool = False
    ) -> None:
        super().__init__(message)
        self.is_full = is_full
        self.is_away = is_away


class ModelError(TouchstoneError):
    """A model file is missing, altered, or cannot run on the provider asked for."""


class IndexDamagedError(TouchstoneError):
    """An index snapshot does not match its manifest and was refused."""


class ConfigurationError(TouchstoneError):
    """A setting cannot be honoured."""
