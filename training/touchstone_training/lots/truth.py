"""What was concluded of a simulated lot, held against what was simulated."""

import csv
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from touchstone.bootstrap import build
from touchstone.cli.options import settings_with
from touchstone.errors import InvalidInputError
from touchstone.lots import conclude
from touchstone.store import Lot
from touchstone_training.ranking import adjusted_rand_index


@dataclass(frozen=True, slots=True)
class TruthTrial:
    """How right a conclusion was."""

    photos: int
    true_share: float
    """Of counterfeits among the photos."""
    low: float
    high: float
    estimate: float | None
    printings: tuple[tuple[int, dict[str, int]], ...]
    """Each that was found, the largest first: its items, and how many are truly of
    which source."""
    unlinked: dict[str, int]
    """Of no printing: how many are truly of which source."""
    rand_index: float
    """Adjusted, over all photos; those of no printing are one group."""
    rand_index_examined: float
    """The same over photos that a print could be compared on."""
    seconds: float

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the true share."""
        return self.low <= self.true_share <= self.high


def held_against_truth(lot_folder: Path, data: Path) -> TruthTrial:
    """Conclude on the newest lot of ``data``, which is that of ``lot_folder``.

    Raises:
        InvalidInputError: there is no lot, or it is another.
    """
    with (lot_folder / "truth.csv").open(newline="") as file:
        truth = {Path(row["image"]).name: row["source"] for row in csv.DictReader(file)}
    with closing(build(settings_with(data))) as parts:
        caller = parts.store.ensure_local_operator()
        lots = parts.store.list_filed(caller, Lot).items
        if not lots:
            raise InvalidInputError(f"There is no lot in {data}.")
        started = time.perf_counter()
        conclusion, items = conclude(parts.store, caller, lots[0].id, parts.validation)
        seconds = time.perf_counter() - started
    if not {one.name for one in items} <= truth.keys():
        raise InvalidInputError(f"The newest lot of {data} is not {lot_folder}.")
    label = {place: one.number for one in conclusion.printings for place in one.items}
    true = [truth[one.name] for one in items]
    found = [label.get(one.position, 0) for one in items]
    seen = [place for place, one in enumerate(items) if one.profile]
    return TruthTrial(
        photos=len(items),
        true_share=sum(source != "genuine" for source in true) / len(items),
        low=conclusion.share.low,
        high=conclusion.share.high,
        estimate=conclusion.share.estimate,
        printings=tuple(
            (one.number, _counted(true[place] for place in one.items))
            for one in conclusion.printings
        ),
        unlinked=_counted(
            source for source, of in zip(true, found, strict=True) if of == 0
        ),
        rand_index=adjusted_rand_index(true, found),
        rand_index_examined=adjusted_rand_index(
            [true[place] for place in seen], [found[place] for place in seen]
        ),
        seconds=round(seconds, 1),
    )


def _counted(sources: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(sources).items()))
