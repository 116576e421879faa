"""Vectors to neighbours: the only FAISS search over references.

A value, not a server: adding and removing return a new index that shares all it can
with the old one, so readers of the old one are never disturbed (FAISS crashes when
one thread adds while another searches). Rows live in immutable segments; a removal
is a mark, and small segments are merged as they accumulate.

Search is an exhaustive scan of 256-bit sign codes (``IndexBinaryFlat``) whose best
rows are ranked again with the fp16 vectors: at a million rows 1.5 ms with the exact
index's answer, nothing to train, and insertion at once.
"""

import functools
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.embedding import Vectors
from touchstone.errors import IndexDamagedError

# FAISS's own stubs do not know its Python wrappers (IDSelectorBitmap, keywords).
_faiss: Any = faiss

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One reference near a query."""

    label: int
    similarity: float
    """Cosine of the best of its views, -1 to 1."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One reference to be indexed."""

    label: int
    """The reference's dense integer id in the records."""
    scope: int
    """What may be allowed or not as a whole: its reference set's slot."""
    vectors: Vectors
    """(views, dim)"""


@dataclass(frozen=True, slots=True)
class _Segment:
    codes: "faiss.IndexBinaryFlat"
    vectors: NDArray[np.float16]
    labels: NDArray[np.int64]
    scopes: NDArray[np.int64]
    is_live: Mask
    live_count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows of one index a caller may match; made once, used for many searches."""

    _selectors: tuple[Any, ...]
    _bitmaps: tuple[NDArray[np.uint8] | None, ...]  # FAISS borrows this memory
    _counts: tuple[int, ...]


_MERGE_FACTOR = 4
_TIES = 64
"""Rows asked for beyond those ranked again: equal distances at the cut."""


@dataclass(frozen=True)
class ReferenceIndex:
    """Immutable set of reference vectors with cosine search."""

    dim: int
    _segments: tuple[_Segment, ...] = ()

    def __len__(self) -> int:
        """Count the live rows (references times views)."""
        return sum(segment.live_count for segment in self._segments)

    @functools.cached_property
    def labels(self) -> frozenset[int]:
        """The labels of all live references."""
        return frozenset(
            int(label)
            for segment in self._segments
            for label in np.unique(segment.labels[segment.is_live])
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the live rows, whatever their order and history.

        Scopes are left out: their numbers are this process's own.
        """
        entries = sorted(
            hashlib.sha256(
                b"%d|" % label + np.ascontiguousarray(rows).tobytes()
            ).hexdigest()
            for label, rows in self._rows_by_label()
        )
        return hashlib.sha256(f"{self.dim}|{'|'.join(entries)}".encode()).hexdigest()

    def _rows_by_label(self) -> Iterable[tuple[int, NDArray[np.float16]]]:
        for segment in self._segments:
            live = np.flatnonzero(segment.is_live)
            # A label's rows are adjacent: one cut where the label changes.
            cuts = np.flatnonzero(np.diff(segment.labels[live])) + 1
            for rows in np.split(live, cuts):
                if rows.size:
                    yield int(segment.labels[rows[0]]), segment.vectors[rows]

    def with_added(self, entries: Sequence[IndexEntry]) -> "ReferenceIndex":
        """Return an index that also holds ``entries`` (labels not yet in it)."""
        entries = [entry for entry in entries if len(entry.vectors)]
        if not entries:
            return self
        counts = [len(entry.vectors) for entry in entries]
        added = _segment(
            np.concatenate([entry.vectors for entry in entries]).astype(np.float16),
            np.repeat([entry.label for entry in entries], counts).astype(np.int64),
            np.repeat([entry.scope for entry in entries], counts).astype(np.int64),
        )
        return replace(self, _segments=_merged((*self._segments, added)))

    def without(self, labels: Iterable[int]) -> "ReferenceIndex":
        """Return an index in which no search finds ``labels``."""
        gone = np.fromiter(labels, np.int64)
        segments = []
        for segment in self._segments:
            live = segment.is_live & ~np.isin(segment.labels, gone)
            count = int(live.sum())
            if count == segment.live_count:
                segments.append(segment)
            elif count:
                segments.append(replace(segment, is_live=live, live_count=count))
        return replace(self, _segments=tuple(segments))

    def scope(self, allowed: Mask | None = None) -> Scope:
        """Prepare the rows whose scope number ``s`` has ``allowed[s]`` (None: all).

        A scope beyond the end of ``allowed`` is not allowed.
        """
        selectors: list[Any] = []
        bitmaps: list[NDArray[np.uint8] | None] = []
        counts = []
        for segment in self._segments:
            mask = segment.is_live
            if allowed is not None:
                known = segment.scopes < len(allowed)
                mask = mask & known
                mask[known] &= allowed[segment.scopes[known]]
            count = int(mask.sum())
            counts.append(count)
            if count == len(mask):
                selectors.append(None)
                bitmaps.append(None)
                continue
            bitmap = np.packbits(mask, bitorder="little")
            selectors.append(_faiss.IDSelectorBitmap(bitmap))
            bitmaps.append(bitmap)
        return Scope(tuple(selectors), tuple(bitmaps), tuple(counts))

    def search(
        self, query: Vectors, *, k: int, scope: Scope, rerank_rows: int = 64
    ) -> list[Neighbour]:
        """Return the at most ``k`` best references for one unit vector ``query``.

        Args:
            query: (dim,) unit vector.
            k: how many references.
            scope: made by this index's `scope`.
            rerank_rows: how many rows of the code scan are ranked exactly.
        """
        code = np.packbits(query > 0, bitorder="little")[np.newaxis]
        found: list[tuple[NDArray[Any], ...]] = []
        for segment, selector, count in zip(
            self._segments, scope._selectors, scope._counts, strict=True
        ):
            wanted = min(rerank_rows + _TIES, count)
            if not wanted:
                continue
            parameters = (
                None if selector is None else _faiss.SearchParameters(sel=selector)
            )
            distances, rows = segment.codes.search(code, wanted, params=parameters)
            kept = rows[0] >= 0
            rows = rows[0][kept]
            similarities = segment.vectors[rows].astype(np.float32) @ query
            found.append((distances[0][kept], segment.labels[rows], similarities))
        if not found:
            return []
        distances, labels, similarities = (
            np.concatenate([one[part] for one in found]) for part in range(3)
        )
        # One cut over all segments: how the rows came in must not show in the answer.
        first = np.lexsort((-similarities, labels, distances))[:rerank_rows]
        best: dict[int, float] = {}
        for label, similarity in zip(
            labels[first].tolist(), similarities[first].tolist(), strict=True
        ):
            best[label] = max(similarity, best.get(label, -2.0))
        # Ties are broken by label, so that the same inputs give the same answer.
        ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:k]
        return [Neighbour(label, min(1.0, similarity)) for label, similarity in ranked]

    def to_bytes(self) -> bytes:
        """Serialise the live rows; `from_bytes` reads it, nothing is pickled."""
        live = [segment.is_live for segment in self._segments]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            dim=np.int64(self.dim),
            vectors=_joined(
                [s.vectors[m] for s, m in zip(self._segments, live, strict=True)],
                np.empty((0, self.dim), np.float16),
            ),
            labels=_joined(
                [s.labels[m] for s, m in zip(self._segments, live, strict=True)],
                np.empty(0, np.int64),
            ),
            scopes=_joined(
                [s.scopes[m] for s, m in zip(self._segments, live, strict=True)],
                np.empty(0, np.int64),
            ),
        )
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "ReferenceIndex":
        """Read what `to_bytes` wrote.

        Whether these are the right bytes is for the snapshot's manifest to say:
        FAISS and NumPy load many a flipped bit without complaint.

        Raises:
            IndexDamagedError: not a snapshot.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                index = ReferenceIndex(int(arrays["dim"]))
                if not len(arrays["labels"]):
                    return index
                segment = _segment(
                    arrays["vectors"], arrays["labels"], arrays["scopes"]
                )
        except Exception as error:
            raise IndexDamagedError(f"Not an index snapshot: {error}") from error
        return replace(index, _segments=(segment,))


def _joined(
    parts: list[NDArray[np.generic]], empty: NDArray[np.generic]
) -> NDArray[np.generic]:
    return np.concatenate(parts) if parts else empty


def _segment(
    vectors: NDArray[np.float16], labels: NDArray[np.int64], scopes: NDArray[np.int64]
) -> _Segment:
    if not len(vectors) == len(labels) == len(scopes):
        raise IndexDamagedError("The index has not one label and scope for each row.")
    codes = faiss.IndexBinaryFlat(vectors.shape[1])
    codes.add(np.packbits(vectors > 0, axis=1, bitorder="little"))
    return _Segment(
        codes, vectors, labels, scopes, np.ones(len(labels), bool), len(labels)
    )


def _merged(segments: tuple[_Segment, ...]) -> tuple[_Segment, ...]:
    """Merge the tail while a segment is not much smaller than the one before it.

    Sizes then fall geometrically: n insertions cost n log n copies in all, and a
    search meets few segments.
    """
    parts = list(segments)
    while len(parts) > 1 and (
        parts[-2].live_count < _MERGE_FACTOR * parts[-1].live_count
    ):
        right, left = parts.pop(), parts.pop()
        keep_left, keep_right = left.is_live, right.is_live
        parts.append(
            _segment(
                np.concatenate([left.vectors[keep_left], right.vectors[keep_right]]),
                np.concatenate([left.labels[keep_left], right.labels[keep_right]]),
                np.concatenate([left.scopes[keep_left], right.scopes[keep_right]]),
            )
        )
    return tuple(parts)
