"""Use case: a seized lot, thousands of photos, none lost, one result each.

Reading order: ``sources`` (which photos) over ``archives`` and ``photos`` (where their
bytes lie), ``results`` (one row each, and the files of them), ``working`` (what one
worker does), ``workers`` (processes that may die), ``cluster`` (machines that may),
``scoring`` (all of it joined).
"""

from touchstone.lots.cluster import HERE, Cluster
from touchstone.lots.importing import Imported, Importer
from touchstone.lots.photos import PhotoReader
from touchstone.lots.results import COLUMNS, Row, row_document, row_of
from touchstone.lots.scoring import LotProgress, LotScorer, LotSummary, write_results
from touchstone.lots.workers import Workers
from touchstone.lots.working import Assess, Desk, MakeDesk

__all__ = [
    "COLUMNS",
    "HERE",
    "Assess",
    "Cluster",
    "Desk",
    "Imported",
    "Importer",
    "LotProgress",
    "LotScorer",
    "LotSummary",
    "MakeDesk",
    "PhotoReader",
    "Row",
    "Workers",
    "row_document",
    "row_of",
    "write_results",
]
