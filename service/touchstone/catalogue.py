"""The enrolled references in memory: the index kept in step with the records.

The index is a cache. Its truth is the vectors in the records, from which it can be
rebuilt at any time; a snapshot on disk only makes starting quick. A snapshot is a
folder written aside, flushed and renamed; its manifest names the SHA-256 of what it
holds, because FAISS and NumPy load a damaged file without complaint.

Readers hold an immutable state; a refresh makes a new one and swaps one reference.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from touchstone.blobs import Blobs
from touchstone.engine.codes import read_codes
from touchstone.engine.embedding import Embedder, reference_views
from touchstone.engine.features import (
    FEATURES_VERSION,
    REFERENCE_SIDE_PX,
    Features,
    Method,
    detect,
    pack_features,
    unpack_features,
)
from touchstone.engine.identification import Candidate
from touchstone.engine.image import DecodeLimits, Pixels, decode
from touchstone.engine.index import IndexEntry, ReferenceIndex, Scope
from touchstone.engine.reference import Reference, class_of
from touchstone.errors import (
    BadImageError,
    IndexDamagedError,
    NotFoundError,
    StorageError,
)
from touchstone.snapshots import (
    IndexState,
    read_snapshot,
    save_snapshot,
    saved_snapshots,
)
from touchstone.store import (
    Caller,
    IndexRow,
    ReferenceView,
    SpecimenKind,
    Store,
)

WORKING_SIDE_PX = 1280
"""Long side at which photos and references are worked on."""

FEATURES_PRODUCER = hashlib.sha256(
    f"touchstone features {FEATURES_VERSION}".encode()
).hexdigest()
"""Under which the records keep local features."""

_ENROLLED_LIMITS = DecodeLimits(max_bytes=1 << 40)
_BATCH = 2000
_CACHED_REFERENCES = 96
_CACHED_FEATURES = 4096
_RERANK_ROWS = 256


@dataclass(frozen=True, slots=True)
class CatalogueStatus:
    """What the catalogue serves, for people and probes."""

    references: int
    index_digest: str
    model_digest: str
    provider: str
    problem: str | None
    """Why what is served may lag behind the records, or None."""


@dataclass(slots=True)
class Catalogue:
    """Searches the references that a caller may match, and fetches them."""

    store: Store
    blobs: Blobs
    embedder: Embedder
    snapshots: Path | None = None
    """Folder for index snapshots; None keeps the index in memory only."""
    _state: IndexState = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _scopes: dict[tuple[object, ...], tuple[ReferenceIndex, Scope]] = field(
        default_factory=dict, init=False
    )
    _references: "_Recent[Reference]" = field(init=False)
    _features: "_Recent[dict[Method, Features]]" = field(init=False)
    _problem: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._state = IndexState(ReferenceIndex(self.embedder.dim), {}, 0)
        self._references = _Recent(_CACHED_REFERENCES)
        self._features = _Recent(_CACHED_FEATURES)
        if self.snapshots is not None:
            self._load(self.snapshots)
        self.refresh()

    # --- what verification asks -------------------------------------------------------

    def candidates(
        self, caller: Caller, pixels: Pixels, k: int
    ) -> tuple[list[tuple[Candidate, ReferenceView]], str]:
        """Return the ``k`` nearest references that the caller may match against.

        And the digest of the index that was searched: by the time of the record there
        may be another.
        """
        query = self.embedder.embed([pixels])[0]
        state, scope = self._scope(caller)
        neighbours = state.index.search(
            query, k=k, scope=scope, rerank_rows=_RERANK_ROWS
        )
        labels = [neighbour.label for neighbour in neighbours]
        # The second guard: a grant may have ended since the scope was made.
        views = self.store.references(caller, labels)
        features = self._features_of([label for label in labels if label in views])
        near = [
            (
                Candidate(
                    n.label,
                    n.similarity,
                    features.get(n.label, {}),
                    views[n.label].specimen.kind is SpecimenKind.KNOWN_COUNTERFEIT,
                ),
                views[n.label],
            )
            for n in neighbours
            if n.label in views
        ]
        return near, state.index.digest

    def reference(self, view: ReferenceView) -> Reference:
        """Return the pixels and facts of one reference, decoded at working size."""
        label = view.specimen.label
        kept = self._references.get(label)
        if kept is None:
            specimen = view.specimen
            pixels = self._enrolled_pixels(specimen.image_digest)
            kept = Reference(
                label=label,
                pixels=pixels,
                size_px=(specimen.width_px, specimen.height_px),
                is_counterfeit=specimen.kind is SpecimenKind.KNOWN_COUNTERFEIT,
                variable_regions=specimen.variable_regions,
                gtin=view.product.gtin,
                codes=read_codes(pixels),
                product=view.product.id,
                product_class=class_of(view.product.category),
            )
            self._references.put(label, kept)
        # What is said of a product may be filled in after its first reference.
        said = view.product.gtin, class_of(view.product.category)
        if (kept.gtin, kept.product_class) != said:
            kept = replace(kept, gtin=said[0], product_class=said[1])
            self._references.put(label, kept)
        return kept

    def _enrolled_pixels(self, digest: str) -> Pixels:
        """Decode an image that was accepted at its enrolment, whatever limits now are.

        Raises:
            StorageError: it is gone or damaged: no fault of whoever sent a photo.
        """
        try:
            data = self.blobs.get(digest)
            return decode(
                data, max_side_px=WORKING_SIDE_PX, limits=_ENROLLED_LIMITS
            ).pixels
        except (NotFoundError, BadImageError) as error:
            raise StorageError(f"The reference image {digest} is damaged.") from error

    @property
    def index_digest(self) -> str:
        """SHA-256 over what is indexed, whatever the order in which it came."""
        return self._state.index.digest

    def status(self) -> CatalogueStatus:
        """Tell what is served."""
        return CatalogueStatus(
            references=len(self._state.index.labels),
            index_digest=self.index_digest,
            model_digest=self.embedder.digest,
            provider=self.embedder.provider,
            problem=self._problem,
        )

    def _scope(self, caller: Caller) -> tuple[IndexState, Scope]:
        """Return the rows in the caller's reach, made anew when anything changed."""
        counters = self.refresh()
        state = self._state
        key = (caller.organisation_id, caller.role, *counters)
        kept = self._scopes.get(key)
        if kept is not None and kept[0] is state.index:
            return state, kept[1]
        allowed = np.zeros(len(state.slots) + 1, bool)
        for set_id in self.store.visible_set_ids(caller):
            if set_id in state.slots:
                allowed[state.slots[set_id]] = True
        scope = state.index.scope(allowed)
        if len(self._scopes) >= _CACHED_SCOPES:
            self._scopes.clear()
        self._scopes[key] = (state.index, scope)
        return state, scope

    # --- what enrolment asks ----------------------------------------------------------

    def derive(self, pixels: Pixels) -> dict[str, bytes]:
        """Compute what is kept of a reference, by producer digest."""
        vectors = self.embedder.embed(reference_views(pixels)).astype(np.float16)
        features = [
            detect(pixels, method, max_side_px=REFERENCE_SIDE_PX) for method in Method
        ]
        return {
            self.embedder.digest: vectors.tobytes(),
            FEATURES_PRODUCER: pack_features(features),
        }

    def refresh(self) -> tuple[int, int]:
        """Take in what was enrolled or withdrawn since; return the counters."""
        counters = self.store.catalogue_state()
        if counters.reference_counter != self._state.counter:
            with self._lock:
                if counters.reference_counter != self._state.counter:
                    self._state = self._advanced(
                        self._state, counters.reference_counter
                    )
        return counters.reference_counter, counters.access_counter

    def rebuild(self, progress: Callable[[int], None] | None = None) -> int:
        """Build the index from the records alone and save it; return its references.

        Specimens that this model has not seen are embedded from their images.
        """
        with self._lock:
            counter = self.store.catalogue_state().reference_counter
            empty = IndexState(ReferenceIndex(self.embedder.dim), {}, 0)
            self._state = self._advanced(empty, counter, progress)
            self._problem = None
        self.save()
        return len(self._state.index.labels)

    def _advanced(
        self,
        state: IndexState,
        counter: int,
        progress: Callable[[int], None] | None = None,
    ) -> IndexState:
        index, slots, after, done = state.index, dict(state.slots), 0, 0
        while rows := self.store.iterate_index_rows(
            self.embedder.digest,
            after_label=after,
            limit=_BATCH,
            changed_since=state.counter,
        ):
            after = rows[-1].label
            index = index.without(row.label for row in rows)
            index = index.with_added(self._entries(rows, slots))
            done += len(rows)
            if progress is not None:
                progress(done)
        return IndexState(index, slots, counter)

    def _entries(
        self, rows: Sequence[IndexRow], slots: dict[str, int]
    ) -> list[IndexEntry]:
        live = [row for row in rows if not row.withdrawn]
        lacking = [row.label for row in live if row.data is None]
        made = self._embedded(lacking) if lacking else {}
        entries = []
        for row in live:
            data = row.data if row.data is not None else made.get(row.label)
            if data is None:
                continue
            vectors = np.frombuffer(data, np.float16).reshape(-1, self.embedder.dim)
            slot = slots.setdefault(row.reference_set_id, len(slots))
            entries.append(IndexEntry(row.label, slot, vectors.astype(np.float32)))
        return entries

    def _embedded(self, labels: Sequence[int]) -> dict[int, bytes]:
        """Embed specimens that were enrolled under another model."""
        made: dict[int, bytes] = {}
        for label, digest in self.store.image_digests(labels).items():
            pixels = self._enrolled_pixels(digest)
            made[label] = self.derive(pixels)[self.embedder.digest]
        self.store.add_derived(self.embedder.digest, made)
        return made

    def _features_of(self, labels: Sequence[int]) -> dict[int, dict[Method, Features]]:
        found = {label: self._features.get(label) for label in labels}
        lacking = [label for label, kept in found.items() if kept is None]
        if lacking:
            for label, data in self.store.derived(FEATURES_PRODUCER, lacking).items():
                features = unpack_features(data)
                self._features.put(label, features)
                found[label] = features
        return {label: kept for label, kept in found.items() if kept is not None}

    # --- snapshots --------------------------------------------------------------------

    def save(self) -> None:
        """Write a snapshot aside, flush it, and let it take the old one's place."""
        if self.snapshots is not None:
            save_snapshot(self.snapshots, self._state, model=self.embedder.digest)

    def _load(self, folder: Path) -> None:
        """Start from the newest sound snapshot; from nothing if there is none."""
        # The records may have been restored from a back-up: what was withdrawn or
        # enrolled after it never happened, and no counter would bring it back.
        newest = self.store.catalogue_state().reference_counter
        for snapshot in saved_snapshots(folder):
            try:
                self._state = read_snapshot(
                    snapshot, model=self.embedder.digest, newest=newest
                )
            except IndexDamagedError as error:
                self._problem = f"Snapshot {snapshot.name} was refused: {error}"
                continue
            return


_CACHED_SCOPES = 64


_T = TypeVar("_T")


class _Recent(Generic[_T]):
    """The most recently used values by label; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[int, _T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, label: int) -> _T | None:
        with self._lock:
            if label not in self._kept:
                return None
            self._kept.move_to_end(label)
            return self._kept[label]

    def put(self, label: int, value: _T) -> None:
        with self._lock:
            self._kept[label] = value
            self._kept.move_to_end(label)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
