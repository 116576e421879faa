"""Composition root: settings to parts, joined. Nothing is made at import."""

import ctypes
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import cv2
import faiss

from touchstone import __version__
from touchstone.blobs import Blobs, LocalBlobs, S3Blobs
from touchstone.catalogue import Catalogue
from touchstone.engine.comparator import ComparatorManifest, OnnxComparator
from touchstone.engine.embedding import EmbedderManifest, OnnxEmbedder
from touchstone.engine.image import DecodeLimits
from touchstone.engine.localisation import LocaliserManifest, OnnxLocaliser
from touchstone.engine.onnx import OnnxNetwork
from touchstone.engine.policy import Policy
from touchstone.engine.rates import Validation
from touchstone.enrolment import Enroller
from touchstone.errors import ConfigurationError, ModelError, StorageError
from touchstone.examination import Assessment
from touchstone.lots import Concluder, Desk, PhotoReader
from touchstone.lots.reporting import Reporter, publish
from touchstone.lots.settled import publish_conclusion
from touchstone.review import Reviewer
from touchstone.settings import Settings
from touchstone.store import Caller, Job, JobKind, Leased, Store
from touchstone.verification import Verifier

EMBEDDER = "embedder.onnx"
MANIFEST = "embedder.json"
COMPARATOR = "comparator.onnx"
COMPARATOR_MANIFEST = "comparator.json"
LOCALISER = "localiser.onnx"
LOCALISER_MANIFEST = "localiser.json"
CALIBRATION = "calibration.json"
VALIDATION = "validation.json"
SEAL = "manifest.json"


@dataclass(frozen=True, slots=True)
class Application:
    """The parts of one deployment; close it, or use it in a ``with``."""

    settings: Settings
    store: Store
    blobs: Blobs
    catalogue: Catalogue
    enroller: Enroller
    verifier: Verifier
    reviewer: Reviewer
    validation: Validation
    """What the policy in force did on items whose nature was known; empty where it
    was never evaluated, and then of a lot's share nothing can be said."""
    concluder: Concluder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    @property
    def examined_by(self) -> dict[str, str]:
        """Digest or version of everything that finds, by name."""
        return {**self._made_with, "references": self.catalogue.index_digest}

    @property
    def _made_with(self) -> dict[str, str]:
        """Those of them that do not change while the parts are there."""
        return {
            "touchstone": __version__,
            "embedder": self.catalogue.embedder.digest,
            "comparator": self.verifier.comparator.digest,
            "localiser": self.verifier.localiser_digest,
            "policy": self.verifier.policy.digest,
        }

    def desk(self) -> Desk:
        """Return what a worker on lots works with."""

        def assess(leased: Leased, photo: bytes) -> Assessment:
            return self.verifier.assess(
                Caller(leased.key_id, leased.organisation_id, leased.role),
                [photo],
                declared_product=leased.declared_product or None,
                declared_gtin=leased.declared_gtin or None,
                profiled=True,
            )

        def make_piece(job: Job) -> Mapping[str, Any]:
            caller = Caller(job.key_id, job.organisation_id, job.role)
            if job.kind is JobKind.CONCLUSION:
                return publish_conclusion(
                    self.concluder, self.blobs, caller, job.lot_id
                )
            made_at = datetime.now(UTC)
            # Who downloads it sees it, and not yet who has it made.
            reporter = replace(self.reporter(), pictures=self.reviewer.drawn)
            return publish(reporter, self.blobs, caller, job.lot_id, made_at=made_at)

        reader = PhotoReader(self.settings.max_upload_bytes, self.blobs)
        return Desk(self.store, reader, assess, make_piece, self._made_with)

    def reporter(self) -> Reporter:
        """Return what makes the reports of lots."""
        return Reporter(self.store, self.reviewer.pictures, self.validation)


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """Builds, in a worker process, what it works with."""

    settings: Settings

    def __call__(self) -> Desk:
        """Build the parts; the parent made and migrated what was missing."""
        return build(self.settings, create=False, migrate=False).desk()


def build(
    settings: Settings, *, create: bool = True, migrate: bool = True
) -> Application:
    """Make every part as ``settings`` say.

    Args:
        settings: of this deployment.
        create: make what is missing: data folder, key pepper, database.
        migrate: bring an older database up to date too; else it is refused.

    Raises:
        ModelError: a model is missing, altered, or cannot run as asked.
        ConfigurationError: a setting cannot be honoured.
        StorageError: the data cannot be reached.
    """
    use_one_thread()
    keep_freed_memory()
    # Models first: whoever has none should not be left with an empty data folder.
    embedder = open_embedder(settings)
    comparator = open_comparator(settings)
    localiser = open_localiser(settings)
    policy = open_policy(settings)
    networks = {"embedder": embedder, "comparator": comparator, "localiser": localiser}
    _check_fitted(policy, networks)
    store = open_store(settings, create=create, migrate=migrate)
    try:
        blobs = open_blobs(settings)
        limits = DecodeLimits(max_bytes=settings.max_upload_bytes)
        catalogue = Catalogue(store, blobs, embedder, settings.snapshots_dir)
        verifier = Verifier(
            catalogue, blobs, store, comparator, policy, limits, localiser
        )
        validation = open_validation(settings, policy)
        return Application(
            settings=settings,
            store=store,
            blobs=blobs,
            catalogue=catalogue,
            enroller=Enroller(catalogue, blobs, store, limits),
            verifier=verifier,
            reviewer=Reviewer(verifier),
            validation=validation,
            concluder=Concluder(store, validation),
        )
    except BaseException:
        store.close()
        raise


def use_one_thread() -> None:
    """Keep OpenCV and FAISS to one thread, as the ONNX sessions are.

    Work is spread over photos (threads of the server, processes of a lot); more
    threads inside one photo only contend for the same cores.
    """
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for the next photo to use.

    A photo needs the same few dozen buffers of a megabyte or two as the one before.
    Given back to the system each time, every page of them must be cleared and mapped
    anew: a tenth of a verification. Where the C library has no such setting (it is
    glibc's), nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
    mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_KEPT = 32 << 20
"""Bytes of one buffer; glibc allows no more."""
_MOST_KEPT = 256 << 20
"""Bytes that a process keeps at most when nothing uses them."""


def open_embedder(settings: Settings) -> OnnxEmbedder:
    """Load the embedding network, if it is the file that its manifest names.

    Raises:
        ModelError: it is missing, altered, or cannot run on the provider asked for.
    """
    manifest = EmbedderManifest.from_json(_model_file(settings, MANIFEST))
    model = _model_file(settings, EMBEDDER, expected=manifest.sha256)
    return OnnxEmbedder.from_bytes(model, manifest, provider=settings.provider)


def open_comparator(settings: Settings) -> OnnxComparator:
    """Load the comparing network, if it is the file that its manifest names.

    Raises:
        ModelError: it is missing, altered, or cannot run on the provider asked for.
    """
    manifest = ComparatorManifest.from_json(_model_file(settings, COMPARATOR_MANIFEST))
    model = _model_file(settings, COMPARATOR, expected=manifest.sha256)
    return OnnxComparator.from_bytes(model, manifest, provider=settings.provider)


def open_localiser(settings: Settings) -> OnnxLocaliser | None:
    """Load the locating network; None where the models folder names none.

    Without one, references are searched with the whole photo.

    Raises:
        ModelError: it is named and missing, altered, or cannot run as asked.
    """
    sealed = _sealed(settings)
    if LOCALISER not in sealed and (
        sealed or not (settings.model_dir / LOCALISER).is_file()
    ):
        return None
    manifest = LocaliserManifest.from_json(_model_file(settings, LOCALISER_MANIFEST))
    model = _model_file(settings, LOCALISER, expected=manifest.sha256)
    return OnnxLocaliser.from_bytes(model, manifest, provider=settings.provider)


def open_policy(settings: Settings) -> Policy:
    """Read the calibrated policy.

    Raises:
        ModelError: it is missing or not usable.
    """
    return Policy.from_json(_model_file(settings, CALIBRATION))


def open_validation(settings: Settings, policy: Policy) -> Validation:
    """Read how the policy did on items whose nature was known; empty if nobody knows.

    Raises:
        ModelError: the file is altered or not usable.
    """
    if VALIDATION not in _sealed(settings):
        return Validation()
    found = Validation.from_json(_model_file(settings, VALIDATION))
    return found if found.policy == policy.digest else Validation()


def _check_fitted(policy: Policy, networks: Mapping[str, OnnxNetwork | None]) -> None:
    """Refuse a policy that was fitted to the numbers of other networks."""
    for name, network in networks.items():
        here = "none" if network is None else network.digest
        fitted_on = policy.fitted_on.get(name, here)
        if fitted_on != here:
            raise ModelError(
                f"{CALIBRATION} was fitted on another {name} (SHA-256 {fitted_on}) "
                f"than is here ({here}). Restore the models folder, or calibrate anew."
            )


def _model_file(settings: Settings, name: str, *, expected: str = "") -> bytes:
    path = settings.model_dir / name
    sealed = _sealed(settings)
    if sealed and name not in sealed:
        raise ModelError(
            f"The model file {path} is not in {SEAL}; restore the models folder."
        )
    expected = sealed.get(name, expected)
    try:
        data = path.read_bytes()
    except OSError as error:
        wanted = f" (SHA-256 {expected})" if expected else ""
        raise ModelError(
            f"The model file {path}{wanted} cannot be read: {error.strerror}. Restore "
            "the models folder, or let TOUCHSTONE_MODEL_DIR name where it is."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if expected and found != expected:
        raise ModelError(
            f"The model file {path} was altered: expected SHA-256 {expected}, found "
            f"{found}. Restore the models folder."
        )
    return data


def _sealed(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of each model file, as `manifest.json` beside them has it.

    A folder of one's own models may do without; the shipped one has it.
    """
    path = settings.model_dir / SEAL
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"The model manifest {path} is not usable: {error}") from error


def open_store(
    settings: Settings, *, create: bool = True, migrate: bool = True
) -> Store:
    """Open the records alone: what needs no model starts without one.

    Raises:
        ConfigurationError: no pepper, or a database that is missing or older.
        StorageError: they cannot be reached.
    """
    if create:
        _make_data_dir(settings.data_dir)
    return Store.open(
        settings.records_url,
        pepper=settings.key_pepper(create=create),
        create=create and migrate,
    )


def _make_data_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The data folder {path} cannot be made: {error.strerror}."
        ) from error


def open_blobs(settings: Settings) -> Blobs:
    """Open where the images lie.

    Raises:
        ConfigurationError: a URL of another kind than a folder or ``s3://…``.
        StorageError: it cannot be reached.
    """
    url = settings.blobs_url
    if url is None:
        return LocalBlobs(settings.data_dir / "blobs")
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        return S3Blobs.open(
            parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
        )
    if parts.scheme in {"", "file"} and parts.path and not parts.netloc:
        return LocalBlobs(Path(parts.path))
    raise ConfigurationError(
        f"TOUCHSTONE_BLOBS_URL must be a folder or s3://BUCKET/PREFIX, not {url!r}."
    )
