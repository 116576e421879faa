"""A deployment to measure: enrolled packages, photographs of them, the classic peer."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

from touchstone.bootstrap import Application, build
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.image import decode
from touchstone.enrolment import EnrolmentRequest
from touchstone.settings import PREFIX, Settings
from touchstone.store import Caller, ProductFields, ReferenceView
from touchstone_training.classic import (
    ClassicFeatures,
    classic_compare,
    classic_features,
)
from touchstone_training.data import HELD_OUT_SEED
from touchstone_training.enrolling import drawn, enrolled_regions, reference_print
from touchstone_training.measuring import samples
from touchstone_training.simulator.artwork import Artwork
from touchstone_training.simulator.photography import to_jpeg

FIRST_SEED = HELD_OUT_SEED + 500
"""Designs that no model was trained with, chosen by, or measured on."""
_DIFFICULTY = 0.3
_REFERENCE_QUALITY = 92

CLASSIC_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Shot:
    """One photograph of a package."""

    product_id: str
    jpeg: bytes

    def unlike(self, number: int) -> bytes:
        """Return the photo with a tail after its last marker.

        Every decoder stops before the tail, but the bytes are new to the service,
        which then keeps and records them as it would a new photo.
        """
        return self.jpeg + number.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Bed:
    """Where a deployment and its photos lie; small enough to hand to any process."""

    folder: Path
    model_dir: Path

    @property
    def data_dir(self) -> Path:
        """Where the deployment keeps its data."""
        return self.folder / "data"

    def open(self, *, create: bool = False) -> Application:
        """Build the parts of the deployment.

        Everything is named, for the environment may name a real deployment.
        """
        return build(
            Settings.load(
                data_dir=self.data_dir,
                model_dir=self.model_dir,
                database_url=f"sqlite:///{self.data_dir.absolute() / 'touchstone.db'}",
                blobs_url=str(self.data_dir.absolute() / "blobs"),
                pepper_file=self.data_dir / "pepper",
                provider="cpu",
            ),
            create=create,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment in which ``touchstone`` works on this deployment."""
        rest = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return rest | {
            f"{PREFIX}DATA": str(self.data_dir.absolute()),
            f"{PREFIX}MODEL_DIR": str(self.model_dir.absolute()),
            f"{PREFIX}PROVIDER": "cpu",
        }

    def shots(self) -> list[Shot]:
        """Read the photos, in order."""
        return [
            Shot(path.stem.rpartition("-")[0], path.read_bytes())
            for path in sorted((self.folder / "photos").glob("*.jpg"))
        ]


def make_bed(
    folder: Path, *, model_dir: Path, products: int, genuine: int = 1, forged: int = 1
) -> Bed:
    """Enrol ``products`` packages and photograph each at 1600 x 1200.

    Args:
        folder: empty; gets the data and the photos.
        model_dir: what is served.
        products: how many designs are enrolled.
        genuine: photos of genuine prints, of each.
        forged: photos of counterfeits of random kinds, of each.
    """
    bed = Bed(folder, model_dir)
    photos = folder / "photos"
    photos.mkdir(parents=True)
    with bed.open(create=True) as parts:
        caller = parts.store.ensure_local_operator()
        for seed in range(FIRST_SEED, FIRST_SEED + products):
            parts.enroller.enrol(caller, _request(seed, drawn(seed)))
            taken = samples(
                seed, genuine=genuine, forged=forged, difficulty=_DIFFICULTY
            )
            for number, sample in enumerate(taken):
                name = f"{_product_id(seed)}-{number:02d}.jpg"
                (photos / name).write_bytes(sample.jpeg)
    return bed


def _product_id(seed: int) -> str:
    return f"B{seed}"


def _request(seed: int, artwork: Artwork) -> EnrolmentRequest:
    pixels = reference_print(artwork)
    return EnrolmentRequest(
        image=to_jpeg(pixels, _REFERENCE_QUALITY),
        product=ProductFields(
            _product_id(seed), brand=artwork.brand, name=artwork.name, gtin=artwork.gtin
        ),
        variable_regions=enrolled_regions(artwork, pixels),
    )


@dataclass(slots=True)
class ClassicPeer:
    """SIFT, FLANN, RANSAC and SSIM against the nearest by the same embedding.

    The references' features are computed once; the photo's are its own cost.
    """

    parts: Application
    caller: Caller
    _kept: dict[int, ClassicFeatures] = field(default_factory=dict, init=False)

    def best(self, jpeg: bytes) -> str:
        """Return the product of the most similar candidate; empty without any."""
        photo = decode(jpeg, max_side_px=WORKING_SIDE_PX).pixels
        near, _ = self.parts.catalogue.candidates(
            self.caller, photo, CLASSIC_CANDIDATES
        )
        own = classic_features(photo)
        similar = [
            (classic_compare(own, self._features(view)), view.product.product_id)
            for _, view in near
        ]
        return max(similar, default=(-1.0, ""))[1]

    def _features(self, view: ReferenceView) -> ClassicFeatures:
        label = view.specimen.label
        if label not in self._kept:
            self._kept[label] = classic_features(
                self.parts.catalogue.reference(view).pixels
            )
        return self._kept[label]


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def fresh_processes(
    count: int = 1, make_ready: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Give new processes in which every library has one thread.

    NumPy's BLAS reads its thread count when it is loaded: too late for this process.

    Args:
        count: of processes.
        make_ready: run in each before any work; none works before all are ready.
    """
    context = get_context("spawn")
    barrier = context.Barrier(count)
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(
            count,
            mp_context=context,
            initializer=_make_ready,
            initargs=(make_ready, barrier),
        ) as pool:
            # A process is started for each piece of work that finds none idle.
            for begun in [pool.submit(_start) for _ in range(count)]:
                begun.result()
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_READY_S = 600.0


def _start() -> None:
    """Do nothing, once all are ready."""


def _make_ready(make_ready: Callable[[], None] | None, barrier: Barrier) -> None:
    if make_ready is not None:
        make_ready()
    barrier.wait(_READY_S)
