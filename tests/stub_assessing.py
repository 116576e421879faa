"""An examiner that decides by a photo's first word: for lots, not for pictures.

It lies in a module of its own because worker processes import it.
"""

import os
import signal
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from touchstone.blobs import S3Blobs
from touchstone.engine.comparison import Region
from touchstone.engine.verdict import Finding
from touchstone.engine.wording import FindingKind, Reason
from touchstone.errors import ModelError, NotAnImageError, StorageError
from touchstone.examination import Assessment, ProductName
from touchstone.lots import Desk, PhotoReader
from touchstone.store import ExaminationDraft, Leased, Store, canonical_json

PRODUCT = ProductName("=P-1", "Acme", "Soap", "front", "", "")
REGIONS = (
    Region(1, 2, 3, 4, 1.25, "structure"),
    Region(5, 6, 7, 8, 2.5, "colour"),
)


@dataclass(frozen=True)
class StubAssessor:
    """Writes down what it was asked, then does what the photo's first word says."""

    log: Path
    seconds: float = 0.0

    def __call__(self, leased: Leased, photo: bytes) -> Assessment:
        del leased
        with self.log.open("a") as file:
            file.write(sha256(photo).hexdigest() + "\n")
        time.sleep(self.seconds)
        word, _, rest = photo.decode().partition(" ")
        if word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "kill-once" and not Path(rest).exists():
            Path(rest).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "bad":
            raise NotAnImageError("This is not an image that we can read.")
        if word == "bug":
            raise ZeroDivisionError("a defect")
        if word == "disk":
            raise StorageError("The disk refused.")
        is_known = word in {kind.value for kind in FindingKind}
        kind = FindingKind(word) if is_known else FindingKind.CONSISTENT_WITH_GENUINE
        return assessment(photo, kind)


PEPPER = b"p" * 16


@dataclass(frozen=True)
class MakeStub:
    """Makes a desk with a StubAssessor in a worker; the records lie beside the log."""

    log: Path
    seconds: float = 0.0
    refuses: bool = False
    max_bytes: int = 25_000_000
    database: str = ""

    @property
    def url(self) -> str:
        return self.database or f"sqlite:///{self.log.parent}/records.db"

    def __call__(self) -> Desk:
        if self.refuses:
            raise ModelError("The embedder is missing.")
        store = Store.open(self.url, pepper=PEPPER, create=False)
        reader = PhotoReader(self.max_bytes)
        return Desk(store, reader, StubAssessor(self.log, self.seconds))


@dataclass(frozen=True)
class StubOnCluster:
    """Makes a desk whose photos lie in a bucket, and notes who assessed each."""

    log: Path
    url: str
    endpoint: str
    bucket: str
    seconds: float = 0.0

    def __call__(self) -> Desk:
        store = Store.open(self.url, pepper=PEPPER, create=False)
        # Without keys: the variables of the driver must have come along.
        blobs = S3Blobs.open(self.bucket, endpoint=self.endpoint)
        assess = StubAssessor(self.log, self.seconds)

        def noted(leased: Leased, photo: bytes) -> Assessment:
            with self.log.with_suffix(".pids").open("a") as file:
                file.write(f"{os.getpid()}\n")
            return assess(leased, photo)

        return Desk(store, PhotoReader(25_000_000, blobs), noted)


@dataclass(frozen=True)
class MakeDead:
    """Dies as a worker does for which there is no memory."""

    def __call__(self) -> Desk:
        os._exit(9)


def assessment(photo: bytes, kind: FindingKind) -> Assessment:
    is_matched = kind is not FindingKind.NO_REFERENCE
    product = PRODUCT if is_matched else None
    finding = Finding(
        kind=kind,
        reasons=(Reason("agrees", "It agrees."),),
        advice=(),
        log10_lr=-1.25 if is_matched else None,
        counterfeit_probability=0.25 if is_matched else None,
        strength="moderate support" if is_matched else "",
    )
    return Assessment(
        draft=ExaminationDraft(
            photo_digests=(sha256(photo).hexdigest(),),
            finding=kind.value,
            record_json=canonical_json({"finding": kind.value}),
            model_digest="m",
            index_digest="i",
            policy_digest="p",
            code_version="0",
            provider="cpu",
            product_id=product.product_id if product else "",
        ),
        finding=finding,
        product=product,
        regions=REGIONS if is_matched else (),
        quality={"sharpness": 0.5, "glare_fraction": 0.0},
        reference_set_id=None,
        elapsed_ms=12.34,
    )
