"""The whole benchmark, or parts of it, each in processes of its own."""

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from touchstone.bootstrap import CALIBRATION, EMBEDDER, open_embedder, open_policy
from touchstone.settings import Settings
from touchstone_training.bench.bed import Bed, fresh_processes, make_bed
from touchstone_training.bench.figures import Figure, Report, load_average
from touchstone_training.bench.search import measure_search
from touchstone_training.bench.serving import measure_http
from touchstone_training.bench.stages import measure_stages
from touchstone_training.bench.throughput import measure_throughput


class Part(StrEnum):
    """What can be measured alone."""

    STAGES = "stages"
    THROUGHPUT = "throughput"
    HTTP = "http"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    products: int = 24
    """Each photographed twice: a genuine print and a counterfeit."""
    stage_photos: int = 16
    repeats: int = 7
    rounds: int = 3
    requests: int = 60
    vectors: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    queries: int = 1000


FULL = Sizes()
QUICK = Sizes(
    products=3,
    stage_photos=3,
    repeats=2,
    rounds=1,
    requests=6,
    vectors=(10_000,),
    queries=100,
)


def run_suite(
    parts: Collection[Part] = tuple(Part),
    *,
    is_quick: bool = False,
    tell: Callable[[str], None],
) -> Report:
    """Measure ``parts`` one after another.

    Args:
        parts: what to measure.
        is_quick: small sizes: whether it runs, not how fast.
        tell: told what is being measured.

    Raises:
        ModelError: a served model is missing, or altered.
        ConfigurationError: the HTTP service does not start.
    """
    sizes = QUICK if is_quick else FULL
    settings = Settings.load(provider="cpu")
    models = _checked_models(settings)
    before = load_average()
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        figures = tuple(
            _measured(parts, sizes, settings.model_dir.absolute(), Path(folder), tell)
        )
    return Report(
        figures,
        is_quick=is_quick,
        models=models,
        load_before=before,
        load_after=load_average(),
    )


def _checked_models(settings: Settings) -> dict[str, str]:
    """Digests of what will run, which is opened once here so that errors come early."""
    open_embedder(settings)
    open_policy(settings)
    return {
        name: hashlib.sha256((settings.model_dir / name).read_bytes()).hexdigest()
        for name in (EMBEDDER, CALIBRATION)
    }


def _measured(
    parts: Collection[Part],
    sizes: Sizes,
    model_dir: Path,
    folder: Path,
    tell: Callable[[str], None],
) -> Iterator[Figure]:
    if set(parts) - {Part.SEARCH}:
        tell(f"Designing and photographing {sizes.products} packages …")
        with fresh_processes() as pool:
            bed = pool.submit(
                make_bed, folder, model_dir=model_dir, products=sizes.products
            ).result()
        yield from _of_bed(bed, parts, sizes, tell)
    if Part.SEARCH in parts:
        tell("Searching …")
        with fresh_processes() as pool:
            yield from pool.submit(
                measure_search,
                sizes.vectors,
                queries=sizes.queries,
                repeats=sizes.repeats,
            ).result()


def _of_bed(
    bed: Bed, parts: Collection[Part], sizes: Sizes, tell: Callable[[str], None]
) -> Sequence[Figure]:
    figures: list[Figure] = []
    if Part.STAGES in parts:
        tell("Timing the stages and the classic peer …")
        with fresh_processes() as pool:
            figures += pool.submit(
                measure_stages,
                bed,
                photos=sizes.stage_photos,
                repeats=sizes.repeats,
            ).result()
    if Part.THROUGHPUT in parts:
        tell("Photos a second with all cores …")
        figures += measure_throughput(bed, rounds=sizes.rounds)
    if Part.HTTP in parts:
        tell("Examinations over HTTP …")
        figures += measure_http(bed, requests=sizes.requests)
    return figures
