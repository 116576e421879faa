"""What an exit code says: the only table of them."""

from collections.abc import Collection
from enum import IntEnum

from touchstone.engine.wording import FindingKind
from touchstone.errors import InvalidInputError, TouchstoneError


class Exit(IntEnum):
    """Exit codes of every command."""

    CONSISTENT = 0
    """Done; of findings: all are consistent with the reference."""
    INCONSISTENT = 1
    """At least one is inconsistent, a known counterfeit, or another variant."""
    USAGE = 2
    """What was asked for cannot be asked so."""
    UNDECIDED = 3
    """None is inconsistent, but some could not be decided."""
    FAILURE = 4
    """It could not be done."""


_ALARMS = frozenset(
    {
        FindingKind.INCONSISTENT_WITH_GENUINE,
        FindingKind.MATCHES_KNOWN_COUNTERFEIT,
        FindingKind.CONSISTENT_WITH_OTHER_VARIANT,
    }
)


def exit_code_for(findings: Collection[str]) -> Exit:
    """Return the exit code for ``findings``; an empty one is a photo not examined.

    No finding is no consistency: what was not examined is not decided.
    """
    if _ALARMS & set(findings):
        return Exit.INCONSISTENT
    if any(one != FindingKind.CONSISTENT_WITH_GENUINE for one in findings):
        return Exit.UNDECIDED
    return Exit.CONSISTENT


def exit_code_of(error: TouchstoneError) -> Exit:
    """Return the exit code for an error that ended the command."""
    if isinstance(error, InvalidInputError):
        return Exit.USAGE
    return Exit.FAILURE
