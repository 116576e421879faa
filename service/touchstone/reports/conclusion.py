"""The words of a report: findings named, and what they come to in a lot.

They never say more than was found: a pack is consistent with the reference, differs
from it, or leaves the question open. Shares are estimates and come with an interval.
"""

from touchstone.engine.wording import FindingKind
from touchstone.reports.document import LotReport, Share

FINDING_WORDS = {
    FindingKind.MATCHES_KNOWN_COUNTERFEIT: "Matches a known counterfeit",
    FindingKind.INCONSISTENT_WITH_GENUINE: "Differs from the reference",
    FindingKind.CONSISTENT_WITH_OTHER_VARIANT: "Consistent with another variant",
    FindingKind.INCONCLUSIVE: "Inconclusive",
    FindingKind.INSUFFICIENT_QUALITY: "Photo not good enough",
    FindingKind.NO_REFERENCE: "No reference to compare with",
    FindingKind.CONSISTENT_WITH_GENUINE: "Consistent with the reference",
}
"""Each finding on paper, in the order in which they are listed."""

UNREADABLE = "Photo could not be read"

_IN_SENTENCE = {
    FindingKind.MATCHES_KNOWN_COUNTERFEIT: ("matches", "match", "a known counterfeit"),
    FindingKind.INCONSISTENT_WITH_GENUINE: ("differs", "differ", "from the reference"),
    FindingKind.CONSISTENT_WITH_OTHER_VARIANT: (
        "is",
        "are",
        "consistent with another variant than declared",
    ),
    FindingKind.INCONCLUSIVE: ("is", "are", "inconclusive"),
    FindingKind.INSUFFICIENT_QUALITY: ("was", "were", "photographed too poorly"),
    FindingKind.NO_REFERENCE: ("has", "have", "no reference to be compared with"),
    FindingKind.CONSISTENT_WITH_GENUINE: ("is", "are", "consistent with the reference"),
}


def finding_words(finding: FindingKind | None) -> str:
    """Name a finding on paper; None is a photo that could not be read."""
    return UNREADABLE if finding is None else FINDING_WORDS[finding]


def items_of(report: LotReport, finding: FindingKind) -> int:
    """Return how many items have ``finding``."""
    return sum(count.items for count in report.counts if count.finding is finding)


def percent(share: float) -> str:
    """Write ``share`` (0 to 1) as a percentage with one decimal."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def counted(number: int, one: str) -> str:
    """Write a number of things, thousands apart."""
    return f"{number:,} {one}" + ("" if number == 1 else "s")


def conclusion_of(report: LotReport) -> tuple[str, ...]:
    """Say what was found, in sentences that can be read out.

    1. What lies in front: how many items, of how many units.
    2. Each finding with its count; none is left out.
    3. The share in the whole lot, where a share can be told at all.
    4. Whether it is one lot or several, and serials that should be single.
    """
    sentences = [_basis(report), _found(report)]
    if report.share is None:
        sentences.append("No share of the whole lot is estimated from these items.")
    else:
        sentences.append(_share(report.share))
    if report.homogeneity:
        sentences.append(report.homogeneity)
    if report.repeated_serials:
        serials = counted(len(report.repeated_serials), "serial number")
        stand = "stands" if len(report.repeated_serials) == 1 else "stand"
        sentences.append(f"{serials} that should be single {stand} on several items.")
    return tuple(sentences)


_SEVERAL = 2


def _basis(report: LotReport) -> str:
    items = counted(report.examined, "item") if report.examined else "No item"
    were = "was" if report.examined < _SEVERAL else "were"
    total = report.lot.units_total
    of = "" if total is None else f" from a lot of {counted(total, 'unit')}"
    text = f"{items}{of} {were} examined by photographs of the packaging"
    if report.unreadable:
        photos = counted(report.unreadable, "further photo")
        return f"{text}; {photos} could not be read."
    return f"{text}."


def _found(report: LotReport) -> str:
    parts = []
    for finding, (single, several, rest) in _IN_SENTENCE.items():
        number = items_of(report, finding)
        if number:
            parts.append(f"{number:,} {single if number == 1 else several} {rest}")
    if not parts:
        return "There is no finding on any item."
    last = parts.pop()
    return (f"{', '.join(parts)} and {last}" if parts else last) + "."


def _share(share: Share) -> str:
    confidence = f"at {100 * share.confidence:g} % confidence"
    if share.high >= 1.0:
        # An estimate beside an interval without an upper end would be read as known.
        return (
            f"At least {percent(share.low)} of the whole lot is counterfeit, "
            f"{confidence}; an upper end cannot be given."
            if share.low > 0.0
            else "Nothing can be said of the share of counterfeits in the whole lot."
        )
    return (
        f"The share of counterfeits in the whole lot is estimated at "
        f"{percent(share.estimate)}; {confidence} it "
        f"lies between {percent(share.low)} and {percent(share.high)}."
    )
