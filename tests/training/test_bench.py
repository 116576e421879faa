"""The speed benchmark: that it measures what it names. How fast is never asserted."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from small_world import write_models

from touchstone import catalogue, verification
from touchstone.engine.image import decode
from touchstone.errors import ModelError
from touchstone_training.bench import search, suite
from touchstone_training.bench.bed import Bed, ClassicPeer, make_bed
from touchstone_training.bench.figures import Figure, Report
from touchstone_training.bench.search import measure_search
from touchstone_training.bench.serving import measure_http
from touchstone_training.bench.stages import (
    CLASSIC,
    IDENTIFY,
    STAGES,
    VERIFY,
    Ledger,
    measure_stages,
    timekeeping,
)
from touchstone_training.bench.throughput import Job, measure_throughput


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    folder = tmp_path_factory.mktemp("bench")
    models = write_models(folder / "models")
    return make_bed(folder, model_dir=models, products=1, genuine=1, forged=0)


def by_name(figures: Sequence[Figure]) -> dict[str, float]:
    named = {one.name: one.value for one in figures}
    assert len(named) == len(figures)
    return named


def test_the_stages_of_a_real_verification_add_up_to_the_whole(bed: Bed) -> None:
    values = by_name(measure_stages(bed, photos=1, repeats=1))
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    for name in (IDENTIFY, VERIFY, CLASSIC, "decode", "embed", "register", "record"):
        assert values[name] > 0
    stages = sum(values[stage.name] for stage in STAGES)
    assert stages == pytest.approx(values[VERIFY])


def interrupted() -> None:
    with timekeeping(Ledger()):
        assert vars(verification)["decode"] is not decode
        raise InterruptedError


def test_the_service_is_as_before_when_timekeeping_is_interrupted() -> None:
    kept = catalogue.Catalogue.reference
    with pytest.raises(InterruptedError):
        interrupted()
    assert vars(verification)["decode"] is decode
    assert catalogue.Catalogue.reference is kept


def test_time_inside_an_inner_stage_is_not_counted_twice() -> None:
    ledger = Ledger()

    def work() -> int:
        return sum(range(400_000))

    inner = ledger.timed("inner", work)
    outer = ledger.timed("outer", lambda: inner() + inner())
    assert outer() == 2 * work()
    spent = ledger.closed()
    assert 0 < spent["outer"] < spent["inner"]
    assert ledger.closed() == {}


def test_the_classic_peer_names_the_only_product(bed: Bed) -> None:
    shot = bed.shots()[0]
    with bed.open() as parts:
        peer = ClassicPeer(parts, parts.store.ensure_local_operator())
        assert peer.best(shot.jpeg) == shot.product_id


def test_a_photo_with_a_tail_is_another_photo_of_the_same_picture(bed: Bed) -> None:
    shot = bed.shots()[0]
    tailed = [shot.unlike(number) for number in (1, 2)]
    assert len({shot.jpeg, *tailed}) == 3
    pictures = [decode(data).pixels for data in (shot.jpeg, *tailed)]
    assert all((one == pictures[0]).all() for one in pictures)


def test_all_jobs_run_in_processes_of_their_own(bed: Bed) -> None:
    values = by_name(measure_throughput(bed, rounds=1, processes=2))
    assert set(Job) < set(values)
    assert all(math.isfinite(value) and value > 0 for value in values.values())


def test_photos_are_examined_over_http(bed: Bed) -> None:
    values = by_name(measure_http(bed, requests=2))
    assert 0 < values["p50"] <= values["p95"] < math.inf


def test_the_benchmark_never_touches_a_deployment_that_the_environment_names(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    monkeypatch.setenv("TOUCHSTONE_DATA", str(real))
    monkeypatch.setenv("TOUCHSTONE_DATABASE_URL", f"sqlite:///{real}.db")
    monkeypatch.setenv("TOUCHSTONE_BLOBS_URL", str(real))
    with bed.open() as parts:
        parts.verifier.verify(
            parts.store.ensure_local_operator(), [bed.shots()[0].jpeg]
        )
    assert list(tmp_path.iterdir()) == []
    names = {name for name in bed.environment() if name.startswith("TOUCHSTONE_")}
    assert names == {"TOUCHSTONE_DATA", "TOUCHSTONE_MODEL_DIR", "TOUCHSTONE_PROVIDER"}


def test_search_is_held_against_exact_search() -> None:
    figures = measure_search([600], queries=20, repeats=1)
    values = by_name(figures)
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    recalls = [value for name, value in values.items() if name.startswith("R@1")]
    assert len(recalls) == 2
    assert all(0.9 <= value <= 1 for value in recalls)


def test_search_reranks_as_many_rows_as_the_catalogue_does() -> None:
    assert search.RERANK_ROWS == catalogue._RERANK_ROWS


def test_queries_have_the_cosine_that_they_are_said_to_have() -> None:
    rng = np.random.default_rng(0)
    vectors, basis = search._mixture(120, rng)
    queries = search._queries(vectors[:1], basis, 0.64, 5, rng)
    assert (queries @ vectors[0]).tolist() == pytest.approx([0.64] * 5, abs=1e-5)


def test_one_part_alone_makes_a_report_of_the_models_that_are_served(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(bed.model_dir))
    monkeypatch.setattr(suite, "QUICK", suite.Sizes(vectors=(200,), queries=5))
    told: list[str] = []
    report = suite.run_suite([suite.Part.SEARCH], is_quick=True, tell=told.append)
    assert {one.group for one in report.figures} == {"Search among 200 vectors"}
    assert set(report.models) == {"embedder.onnx", "calibration.json"}
    assert len(told) == 1


def test_a_missing_model_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be read"):
        suite.run_suite(tell=pytest.fail)


@pytest.mark.parametrize(
    ("value", "is_higher_better", "is_met", "times_limit"),
    [(2.0, False, True, 2.0), (4.0, False, False, 4.0), (4.0, True, True, 0.25)],
)
def test_a_figure_says_whether_its_target_is_met(
    value: float, is_higher_better: bool, is_met: bool, times_limit: float
) -> None:
    figure = Figure(
        "g", "n", value, "ms", is_higher_better=is_higher_better, target=3.0, limit=1.0
    )
    assert figure.is_met is is_met
    assert figure.times_limit == times_limit


def test_a_report_names_what_was_missed(tmp_path: Path) -> None:
    figures = (
        Figure("Speed", "slow one", 9.0, "ms", target=3.0),
        Figure("Speed", "quick one", 1.0, "ms", target=3.0, limit=0.5),
        Figure("Speed", "free one", 1.0, "ms", note="no target"),
    )
    report = Report(
        figures, is_quick=True, models={"m": "d"}, load_before=0.0, load_after=1.0
    )
    console = Console(record=True, width=120, file=(tmp_path / "table").open("w"))
    report.show(console)
    console.file.close()
    shown = console.export_text()
    assert "Below target: slow one." in shown
    assert "Quick sizes" in shown
    report.write(tmp_path / "new" / "bench.json")
    document = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert [one["is_met"] for one in document["figures"]] == [False, True, None]
    assert document["machine"]["cores"] >= 1
    assert {"python", "numpy", "faiss-cpu"} <= set(document["libraries"])
