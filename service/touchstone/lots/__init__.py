"""Use case: score a seized lot, resumable, no photo dropped.

Reading order: ``sources`` (which photos), ``results`` (one row each, and the files of
them), ``journal`` (what is done survives any stop), ``workers`` (processes that may
die), ``scoring`` (all of it joined).
"""

from touchstone.lots.results import COLUMNS, Row, row_document, row_of
from touchstone.lots.scoring import LotProgress, LotScorer, LotSummary
from touchstone.lots.workers import Assess, MakeAssess

__all__ = [
    "COLUMNS",
    "Assess",
    "LotProgress",
    "LotScorer",
    "LotSummary",
    "MakeAssess",
    "Row",
    "row_document",
    "row_of",
]
