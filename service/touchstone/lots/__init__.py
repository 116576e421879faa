"""Use case: a seized lot, thousands of photos, none lost, one result each.

Reading order: ``sources`` (which photos) over ``archives`` and ``photos`` (where their
bytes lie), ``manifests`` (what is sent to us instead), ``results`` (one row each, and
the files of them), ``working`` (what one worker does), ``workers`` (processes that may
die), ``cluster`` (machines that may), ``scoring`` (all of it joined), ``keeping``
(workers beside a server), ``planning``, ``basis`` (what a conclusion rests on),
``concluding``, ``settled`` (once for each basis), ``reporting`` (all of a lot).
"""

from touchstone.lots.cluster import HERE, Cluster
from touchstone.lots.concluding import Conclusion, conclude, conclusion_document
from touchstone.lots.importing import Imported, Importer
from touchstone.lots.keeping import Keeper
from touchstone.lots.manifests import MANIFEST_ENDINGS, RowError, open_manifest
from touchstone.lots.photos import PhotoReader, blob_locator
from touchstone.lots.results import (
    COLUMNS,
    Row,
    outcome_document,
    row_document,
    row_of,
)
from touchstone.lots.scoring import LotProgress, LotScorer, LotSummary, write_results
from touchstone.lots.settled import Concluder
from touchstone.lots.workers import Workers
from touchstone.lots.working import Assess, Desk, MakeDesk

__all__ = [
    "COLUMNS",
    "HERE",
    "MANIFEST_ENDINGS",
    "Assess",
    "Cluster",
    "Concluder",
    "Conclusion",
    "Desk",
    "Imported",
    "Importer",
    "Keeper",
    "LotProgress",
    "LotScorer",
    "LotSummary",
    "MakeDesk",
    "PhotoReader",
    "Row",
    "RowError",
    "Workers",
    "blob_locator",
    "conclude",
    "conclusion_document",
    "open_manifest",
    "outcome_document",
    "row_document",
    "row_of",
    "write_results",
]
