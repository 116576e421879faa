"""Store: every verb on the records, over SQLite or PostgreSQL.

Each verb is one transaction and takes the ``Caller`` on whose behalf it acts; the
scope stands inside its query. Only our own errors leave it.
"""

from collections.abc import Callable
from datetime import datetime

from touchstone.errors import ConfigurationError
from touchstone.store.access import Access
from touchstone.store.announcing import Announcing
from touchstone.store.audit import Audit
from touchstone.store.conclusions import Conclusions
from touchstone.store.database import BUSY_TIMEOUT_S, connect, parsed_url, utc_now
from touchstone.store.examinations import Examinations
from touchstone.store.filing import Filing
from touchstone.store.idempotency import Idempotency
from touchstone.store.jobs import Jobs
from touchstone.store.matching import Matching
from touchstone.store.outcomes import Outcomes
from touchstone.store.references import References
from touchstone.store.schema import migrate, needs_migration
from touchstone.store.sharing import Sharing
from touchstone.store.submitting import Submitting
from touchstone.store.work import Work


class Store(
    Access,
    Sharing,
    References,
    Matching,
    Examinations,
    Filing,
    Submitting,
    Announcing,
    Work,
    Outcomes,
    Conclusions,
    Jobs,
    Idempotency,
    Audit,
):
    """The records of one deployment; safe to use from many threads."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        pepper: bytes,
        create: bool,
        clock: Callable[[], datetime] = utc_now,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> "Store":
        """Open the records at ``url``.

        Args:
            url: ``sqlite:///FILE`` or ``postgresql://…``.
            pepper: the secret that API keys are hashed with, 16 bytes or more; with
                another pepper no key is valid.
            create: make the file and bring the schema up to date where need be; else
                a database that is not up to date is refused.
            clock: gives aware times.
            busy_timeout_s: how long a verb waits for another's lock.

        Raises:
            ConfigurationError: a bad URL or pepper, or a schema of another version.
            StorageError: the database cannot be reached.
        """
        parsed = parsed_url(url)
        store = cls(
            connect(parsed, busy_timeout_s=busy_timeout_s), pepper=pepper, clock=clock
        )
        if needs_migration(url):
            if not create:
                raise ConfigurationError(
                    "The database is missing or of an older version: "
                    "run `touchstone migrate`."
                )
            migrate(url)
        return store
