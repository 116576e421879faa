"""A source on this machine into the image store, photo by photo, for any worker."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from touchstone.blobs import Blobs
from touchstone.errors import InvalidInputError
from touchstone.lots.photos import PhotoReader, blob_locator
from touchstone.lots.sources import batches, open_source
from touchstone.store import (
    Caller,
    Lot,
    Store,
    SubmissionFields,
    SubmissionState,
    new_id,
)

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a source: what was sent is new, a duplicate, or failed."""

    new: int
    duplicates: int
    """There already, under the same name and with the same bytes."""
    failed: int
    """Unreadable; each is a submission with its reason."""
    left_out: int
    """Files that are no photos by their name."""

    @property
    def sent(self) -> int:
        """All photos of the source."""
        return self.new + self.duplicates + self.failed


@dataclass(frozen=True, slots=True)
class Importer:
    """Takes the photos of a source into a lot."""

    store: Store
    blobs: Blobs
    max_photo_bytes: int

    def take(
        self,
        caller: Caller,
        lot: Lot,
        source: Path,
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Imported:
        """List every photo of ``source`` in ``lot``, its bytes in the image store.

        Stopped at any time and begun again, what is there already is not sent twice.

        Args:
            caller: whose lot it is.
            lot: where to list them.
            source: folder, ``.zip``, or manifest with a column ``image``.
            progress: told how many photos are listed, now and then.

        Raises:
            InvalidInputError: the source cannot be used at all.
            StorageError: the image store or the records refused.
        """
        counts = {"new": 0, "duplicates": 0, "failed": 0}
        with (
            open_source(source) as photos,
            PhotoReader(self.max_photo_bytes) as reader,
        ):
            stored = (self._stored(caller, item, reader) for item in photos.items)
            for some in batches(stored, _AT_ONCE):
                mark = new_id()  # ids sort by time: what is new has a later one
                seen: set[str] = set()
                for one in self.store.submit(caller, lot.id, some):
                    if one.id < mark or one.id in seen:
                        counts["duplicates"] += 1
                    elif one.state is SubmissionState.FAILED:
                        counts["failed"] += 1
                    else:
                        counts["new"] += 1
                    seen.add(one.id)
                progress(sum(counts.values()))
        return Imported(**counts, left_out=photos.left_out)

    def _stored(
        self, caller: Caller, item: SubmissionFields, reader: PhotoReader
    ) -> SubmissionFields:
        if item.problem:
            return item
        try:
            data = reader.whole(item.locator)
        except InvalidInputError as error:
            return replace(item, locator="", problem=str(error))
        # The bytes are the photo: when it was last touched does not matter here.
        digest = sha256(data).hexdigest()
        held = self.store.locator_of(caller, digest)
        locator = held or blob_locator(self.blobs.put(data))
        return replace(item, locator=locator, photo_digest=digest, identity=digest)
