"""``touchstone index rebuild``, ``migrate`` and ``fsck``: the data kept sound."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from touchstone.blobs import Blobs, LocalBlobs
from touchstone.bootstrap import build, open_blobs, open_store
from touchstone.cli.exits import Exit
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import complain, emit, progress_bar, say
from touchstone.errors import NotFoundError, StorageError
from touchstone.store import Checkpoint, Store, needs_migration

index = typer.Typer(help="The search index, a cache of the records.")


@index.callback()
def _index() -> None:
    """Keep `rebuild` a command of its own although it is the only one."""


@index.command()
def rebuild(*, data: Data = None, json: Json = False) -> None:
    """Build the index anew from the records alone.

    Example: touchstone index rebuild
    """
    with build(settings_with(data), create=False) as parts:
        with progress_bar("Indexing") as bar:
            count = parts.catalogue.rebuild(lambda done: bar.advance_to(done, done))
        status = parts.catalogue.status()
    say(f"{count} references indexed.")
    if json:
        emit({"references": count, "index_digest": status.index_digest})


def migrate(*, data: Data = None, json: Json = False) -> None:
    """Bring the records to this version's schema.

    Again changes nothing.

    Example: touchstone migrate
    """
    settings = settings_with(data)
    was_needed = needs_migration(settings.records_url)
    open_store(settings).close()
    say("The records were migrated." if was_needed else "The records are up to date.")
    if json:
        emit({"migrated": was_needed})


@dataclass(frozen=True, slots=True)
class Health:
    """What `fsck` found."""

    events: int
    chain_ok: bool
    first_bad_seq: int | None
    head_seq: int
    head_hash: str
    altered_examinations: tuple[str, ...]
    altered_conclusions: tuple[str, ...]
    images: int
    missing_images: tuple[str, ...]
    altered_images: tuple[str, ...]
    swept_files: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is missing or altered."""
        return self.chain_ok and not (
            self.altered_examinations
            or self.altered_conclusions
            or self.missing_images
            or self.altered_images
        )


def fsck(
    *,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ:HASH",
            help="A head that fsck printed before, kept elsewhere: finds a rewritten "
            "end of the log too.",
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Check audit chain, examinations, conclusions and images.

    Files that crashes left half written are removed.

    Exit code 4 if anything is missing or altered.

    Example: touchstone fsck --json
    """
    settings = settings_with(data)
    known = _checkpoint(checkpoint)
    with closing(open_store(settings, create=False)) as store:
        health = _examined(store, open_blobs(settings), known)
    _tell(health)
    if json:
        emit(asdict(health) | {"ok": health.is_sound})
    if not health.is_sound:
        raise typer.Exit(Exit.FAILURE)


def _checkpoint(text: str | None) -> Checkpoint | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    if not seq.isdigit() or not digest:
        raise typer.BadParameter("a checkpoint is SEQ:HASH", param_hint="--checkpoint")
    return Checkpoint(int(seq), digest)


def _examined(store: Store, blobs: Blobs, known: Checkpoint | None) -> Health:
    report = store.verify_chain(known)
    head = store.chain_head()
    images, missing, altered = 0, [], []
    for digest, problem in _images(store, blobs):
        images += 1
        if problem == _MISSING:
            missing.append(digest)
        elif problem:
            altered.append(digest)
    swept = blobs.sweep_temp() if isinstance(blobs, LocalBlobs) else 0
    return Health(
        events=report.events,
        chain_ok=report.ok,
        first_bad_seq=report.first_bad_seq,
        head_seq=head.seq,
        head_hash=head.hash,
        altered_examinations=tuple(store.altered_examinations()),
        altered_conclusions=tuple(store.altered_conclusions()),
        images=images,
        missing_images=tuple(missing),
        altered_images=tuple(altered),
        swept_files=swept,
    )


_MISSING = "missing"
_ALTERED = "altered"


def _images(store: Store, blobs: Blobs) -> Iterator[tuple[str, str]]:
    for digest in store.recorded_digests():
        try:
            blobs.get(digest)
        except NotFoundError:
            yield digest, _MISSING
        except StorageError:
            yield digest, _ALTERED
        else:
            yield digest, ""


def _tell(health: Health) -> None:
    if not health.chain_ok:
        complain(f"The audit chain is broken at event {health.first_bad_seq}.")
    for what, found in (
        ("Examination altered", health.altered_examinations),
        ("Conclusion altered", health.altered_conclusions),
        ("Image missing", health.missing_images),
        ("Image altered", health.altered_images),
    ):
        for one in found:
            complain(f"{what}: {one}")
    say(
        f"{health.events} audit events, {health.images} images: "
        f"{'all sound' if health.is_sound else 'NOT sound'}; "
        f"{health.swept_files} leftover files removed."
    )
    say(f"Checkpoint to keep elsewhere: {health.head_seq}:{health.head_hash}")
