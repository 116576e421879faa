"""A lot's units to a sampling plan with its draw, as the document put in force."""

from dataclasses import asdict
from typing import Any

from touchstone.engine.sampling import (
    Rule,
    draw,
    hypergeometric_plan,
    square_root_plan,
)
from touchstone.errors import InvalidInputError
from touchstone.store import Lot


def planned(
    lot: Lot,
    rule: Rule,
    *,
    share: float,
    confidence: float,
    sensitivity: float = 1.0,
    seed: str | None = None,
) -> dict[str, Any]:
    """Return the plan of a lot: how many of its units, which, and why so many.

    Args:
        lot: must tell its units.
        rule: by which the number is chosen; share, confidence and sensitivity are of
            the hypergeometric one alone.
        share: of counterfeits that is to be met with.
        confidence: probability of at least one call at that share.
        sensitivity: probability that an examined counterfeit is called.
        seed: of the draw; the lot's reference number if not given.

    Raises:
        InvalidInputError: the lot tells no units, or a parameter is out of range.
    """
    if lot.units_total is None:
        raise InvalidInputError(
            "The lot does not tell how many units it has; file it with its units.",
            field="units_total",
        )
    if rule is Rule.HYPERGEOMETRIC:
        plan = hypergeometric_plan(
            lot.units_total, share=share, confidence=confidence, sensitivity=sensitivity
        )
    else:
        plan = square_root_plan(lot.units_total)
    chosen = lot.ref_no if seed is None else seed
    positions = list(draw(plan, seed=chosen))
    return asdict(plan) | {"seed": chosen, "positions": positions}
