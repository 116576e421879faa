"""``benchmark`` as it is run: small sizes, a small world, everything written."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_world import photographed, printed_mark, write_jpeg, write_models
from typer.testing import CliRunner

from touchstone_training.__main__ import app
from touchstone_training.benchmark import command
from touchstone_training.benchmark.command import Sizes
from touchstone_training.benchmark.pictures import TILE_PX
from touchstone_training.benchmark.published import validation_document
from touchstone_training.benchmark.real import real_sets
from touchstone_training.benchmark.simulated import Plan, dealt_kind, taken, third
from touchstone_training.simulator.counterfeits import KINDS
from touchstone_training.simulator.planting import LOCAL_KINDS
from touchstone_training.work import spread

RUNNER = CliRunner()
FEWEST = Sizes(
    designs=2, genuine=1, forged=2, every_nth=1, planted=2, draws=5, products=2
)


def write_set(folder: Path, products: int) -> None:
    """Write a set of real photos: a reference and a photo of each product."""
    rows = []
    for number in range(products):
        face = printed_mark(60 + number)
        shown = photographed(face, seed=number)
        for kind, pixels in (("reference", face), ("photo", shown)):
            path = write_jpeg(folder / kind / f"{number}.jpg", pixels)
            rows.append((path.relative_to(folder), f"shelf:{number}", kind, "ours"))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "product_id", "kind", "licence"))
        writer.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_models(folder / "models")
    write_set(folder / "data" / "measure" / "shelf", 2)
    return folder


def run(folder: Path, *more: str) -> Any:
    return RUNNER.invoke(
        app,
        [
            *("benchmark", "--quick", "--workers", "1"),
            *("--data", str(folder / "data"), "--models", str(folder / "models")),
            *("--runs", str(folder / "runs"), *more),
        ],
    )


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "QUICK", FEWEST)
        done = run(folder, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads((folder / "runs" / "evaluation.json").read_text())
    assert json.loads(done.stdout) == told
    return dict(told)


def test_everything_is_measured_in_one_run(report: dict[str, Any]) -> None:
    both = report["simulated"]["both"]
    assert both["designs"] == 2
    assert both["genuine"] == 4
    assert set(both["systems"]) == {"touchstone", "embedding_cosine", "sift_ssim"}
    assert report["identification"]["all"]["recall_at_1"]["total"] == 2 * 4
    assert report["identification"]["all"]["unknown_rejected"]["total"] == 2 * 2
    assert report["real"]["shelf"]["recall_at_1"]["hits"] == 2
    assert report["planted"]["shelf"]["photos"] == 2
    assert 2 * 3 < report["planted"]["shelf"]["planted"] <= 2 * len(LOCAL_KINDS)


def test_false_calls_are_counted_by_design(report: dict[str, Any]) -> None:
    products = report["products"]
    designs = [one["design"] for one in products["per_design"]]
    assert designs == ["1100000", "1100001", "1300000", "1300001"]
    assert products["designs"] == 4
    assert products["inconsistent"]["total"] == 2 * 4
    answered = sum(one["answered"] for one in products["per_design"])
    assert answered == 2 * 4 - products["abstained"]["hits"]
    counts = validation_document(report)
    assert counts["genuine"] == products["per_design"]


def test_a_quick_run_leaves_the_models_alone(
    folder: Path, report: dict[str, Any]
) -> None:
    assert report["sizes"]["designs"] == 2
    assert not (folder / "models" / "evaluation.json").exists()
    assert not (folder / "models" / "figures").exists()


def test_the_failures_are_drawn_from_simulated_photos(
    folder: Path, report: dict[str, Any]
) -> None:
    sheet = folder / "runs" / "figures" / "failures.jpg"
    failures = report["failures"]
    assert sheet.is_file() == bool(failures["misses"] or failures["false_alarms"])
    names = {path.name for path in (folder / "runs" / "strips").iterdir()}
    assert names
    assert not any("shelf" in name for name in names)
    for name in names:
        strip = cv2.imread(str(folder / "runs" / "strips" / name))
        assert strip is not None
        assert strip.shape == (TILE_PX, 3 * TILE_PX + 8, 3)
        assert strip.std() > 5
    assert any("`photo/" in one for one in failures["real_most_suspected"])


def test_an_earlier_run_gives_the_same_report_again(
    folder: Path, report: dict[str, Any]
) -> None:
    done = run(folder, "--reuse", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == report


def test_nothing_to_reuse_is_said_so(tmp_path: Path) -> None:
    write_models(tmp_path / "models")
    done = run(tmp_path, "--reuse")
    assert done.exit_code != 0
    assert "no run to reuse" in str(done.exception)


@pytest.mark.parametrize("workers", [1, 2])
def test_work_is_done_in_the_order_of_the_jobs(workers: int) -> None:
    jobs = [-3, 1, -2]
    done = spread(abs, jobs, workers=workers, description="Jobs")
    assert list(done) == [3, 1, 2]


def test_only_sets_with_unseen_products_are_measured(tmp_path: Path) -> None:
    write_set(tmp_path / "measure" / "shelf", 3)
    write_set(tmp_path / "elsewhere" / "shelf", 3)
    trained = tmp_path / "open" / "trained"
    shutil.copytree(tmp_path / "measure" / "shelf", trained)
    manifest = trained / "manifest.csv"
    text = manifest.read_text(encoding="utf-8").replace("shelf:", "apc:")
    manifest.write_text(text, encoding="utf-8")
    (found,) = real_sets(tmp_path, every_nth=2)
    assert found.name == "shelf"
    assert [one.product_id for one in found.photos] == ["shelf:0", "shelf:2"]
    assert len(found.references) == 3


def test_kinds_are_dealt_out_evenly() -> None:
    for start in (0, 7 * len(KINDS)):
        dealt = [dealt_kind(start + number) for number in range(len(KINDS))]
        assert sorted(dealt) == sorted(KINDS)
    assert [dealt_kind(n) for n in range(5)] != [dealt_kind(n + 18) for n in range(5)]


def test_every_print_is_photographed_at_every_difficulty() -> None:
    plan = Plan(designs=1, genuine=1, forged=3)
    rows = list(taken(plan.seeds[0], plan))
    for source in ("inspector", "field"):
        own = [one for one in rows if one.source == source]
        fakes = [one for one in own if one.boxes]
        assert 1 <= len(fakes) <= 3
        thirds = [third(one.severity) for one in fakes]
        assert len(set(thirds)) == len(thirds)
    assert len({one.name for one in rows}) == len(rows)
    photo = cv2.imdecode(np.frombuffer(rows[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert photo is not None
    again = next(iter(taken(plan.seeds[0], plan)))
    assert again == rows[0]


def test_severities_lie_in_thirds() -> None:
    named = [third(value) for value in (0.15, 0.43, 0.44, 0.72, 1.0)]
    assert named == ["subtle", "subtle", "middle", "crude", "crude"]
