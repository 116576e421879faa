"""By what a lot is examined: results of two states of the service do not compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from touchstone.errors import ConflictError
from touchstone.store import Caller, Job, Store


def mixing(
    store: Store, caller: Caller, lot_id: str, examined_by: Mapping[str, str]
) -> str:
    """Return why results to come would not compare with those of a lot; or "".

    Args:
        store: of the lot.
        caller: whose lot it is.
        lot_id: which lot.
        examined_by: digest or version of everything that would find, by name.

    Raises:
        NotFoundError: no such lot of the caller's.
    """
    now = dict(examined_by)
    for then in store.finders(caller, lot_id):
        if dict(then) != now:
            return (
                f"Photos of this lot were examined with {_changes(then, now)}: results "
                "to come would not compare with theirs."
            )
    return ""


@dataclass(slots=True)
class Fitting:
    """Tells which jobs one worker may take: those begun with what it works with."""

    made_with: Mapping[str, str]
    """Digest or version of what the worker works with, by name; not the references,
    which every worker has from the records."""
    job_id: str | None = None
    """The one job that it is for; it then says why it cannot, and ends."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why, by the ids of the jobs that it left to others since this was cleared."""

    def __call__(self, job: Job) -> bool:
        """Tell whether the worker fits a job.

        Raises:
            ConflictError: it does not, and is for that job alone.
        """
        if not job.examined_by or any(map(self._is_one_of, job.examined_by)):
            return True
        if self.job_id is not None:
            raise ConflictError(self._words(job))
        self.refused[job.id] = self._words(job)
        return False

    def _is_one_of(self, then: Mapping[str, str]) -> bool:
        return all(then.get(name) == made for name, made in self.made_with.items())

    def _words(self, job: Job) -> str:
        then = {name: job.examined_by[0].get(name, "") for name in self.made_with}
        return (
            f"It was begun with {_changes(then, self.made_with)} than a worker has: "
            "start one of that state, or begin it anew."
        )


def _changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    return " and ".join(
        f"other {name} ({_short(then, name)} then, {_short(now, name)} now)"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    )


def _short(examined_by: Mapping[str, str], name: str) -> str:
    return str(examined_by.get(name, "none"))[:12]
