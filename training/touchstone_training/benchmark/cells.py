"""Cells and rows of the model card's tables."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def counted(counts: Mapping[str, int]) -> str:
    """Name what was counted, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} `{name}`" for name, count in ranked)


def ordered(
    reports: Mapping[str, Any], names: Iterable[str]
) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a report in the order of ``names``, then all others."""
    known = [name for name in names if name in reports]
    rest = [name for name in reports if name not in known]
    yield from ((name, reports[name]) for name in (*known, *rest))


def head(*cells: str) -> Iterator[str]:
    """Yield the head of a table."""
    yield row(*cells)
    yield f"|{'---|' * len(cells)}"


def row(*cells: str) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |"


def value(one: Mapping[str, Any] | None) -> float | None:
    """Return the value of an estimate, if there is one."""
    return None if one is None else one["value"]


def number(value: float | None, digits: int = 2) -> str:
    """Return a number; nothing where it could not be measured."""
    return "" if value is None else f"{value:.{digits}f}"


def span(one: Mapping[str, Any], digits: int = 3) -> str:
    """Return an estimate with its interval."""
    value, (low, high) = one["value"], one["interval95"]
    if value is None or low is None:
        return number(value, digits)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def share(share: Mapping[str, Any], *, is_short: bool = False) -> str:
    """Return a share, with its count and interval unless ``is_short``."""
    if not share["total"]:
        return ""
    if is_short:
        return f"{share['share']:.2f}"
    low, high = share["interval95"]
    return (
        f"{share['hits']}/{share['total']} = {share['share']:.3f} "
        f"[{low:.3f}, {high:.3f}]"
    )
