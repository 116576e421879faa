import json
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from deployments import LABEL_PX, Deployment, damage
from scenes import Pixels, photographed, printed

from touchstone.bootstrap import build
from touchstone.store import Enrolled, ProductFields, SetFields, SpecimenFields

FACES = 6


def photo_of(seed: int) -> Pixels:
    face = printed(seed, size_px=LABEL_PX)
    return photographed(face, tilt=0.1, turn=2.0 * seed, frame_px=(560, 300)).pixels


def enrol_some(deployment: Deployment, count: int = FACES) -> list[Enrolled]:
    return [
        deployment.enrol(printed(seed, size_px=LABEL_PX), f"P-{seed}")
        for seed in range(count)
    ]


def answers(deployment: Deployment) -> list[list[tuple[int, float]]]:
    return [deployment.near(photo_of(seed)) for seed in range(FACES + 2)]


# --- the index is only a cache (promise R4) -------------------------------------------


def test_the_index_is_rebuilt_from_the_records_alone(deployment: Deployment) -> None:
    enrol_some(deployment)
    deployment.parts.catalogue.save()
    before = answers(deployment)
    digest = deployment.parts.catalogue.index_digest
    assert [found[0][0] for found in before[:FACES]] == list(range(1, FACES + 1))
    shutil.rmtree(deployment.snapshots)
    deployment.restart()
    assert answers(deployment) == before
    assert deployment.parts.catalogue.rebuild() == FACES
    assert deployment.parts.catalogue.index_digest == digest
    for found, expected in zip(answers(deployment), before, strict=True):
        assert [label for label, _ in found] == [label for label, _ in expected]
        np.testing.assert_allclose(
            [s for _, s in found], [s for _, s in expected], atol=1e-6
        )


def test_step_by_step_gives_what_a_rebuild_gives(deployment: Deployment) -> None:
    enrolled = enrol_some(deployment)
    store, catalogue = deployment.store, deployment.parts.catalogue
    store.withdraw_specimen(deployment.brand, enrolled[1].specimen.id)
    catalogue.refresh()
    deployment.enrol(printed(20, size_px=LABEL_PX), "P-1")
    store.withdraw_specimen(deployment.brand, enrolled[4].specimen.id)
    catalogue.refresh()
    step_by_step = catalogue.index_digest, answers(deployment)
    catalogue.rebuild()
    assert (catalogue.index_digest, answers(deployment)) == step_by_step
    assert catalogue.status().references == FACES - 1


def test_a_snapshot_makes_starting_quick_and_changes_nothing(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 3)
    deployment.parts.catalogue.save()
    deployment.enrol(printed(4, size_px=LABEL_PX), "P-4")  # after the snapshot
    before = deployment.parts.catalogue.index_digest, answers(deployment)
    deployment.restart()
    assert (deployment.parts.catalogue.index_digest, answers(deployment)) == before
    assert deployment.parts.catalogue.status().problem is None


def test_snapshots_are_readable_by_their_owner_alone_and_do_not_pile_up(
    deployment: Deployment,
) -> None:
    for seed in range(4):
        deployment.enrol(printed(seed, size_px=LABEL_PX), f"P-{seed}")
        deployment.parts.catalogue.save()
    folders = list(deployment.snapshots.iterdir())
    assert len(folders) == 2
    for file in (path for folder in folders for path in folder.iterdir()):
        assert file.stat().st_mode & 0o077 == 0


def test_what_another_process_enrols_is_found_here(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 2)
    other = build(deployment.settings)
    deployment.enrol(printed(2, size_px=LABEL_PX), "P-2")
    found, _ = other.catalogue.candidates(deployment.brand, photo_of(2), 24)
    other.close()
    assert found[0][0].label == 3


def test_another_model_embeds_the_kept_images_anew(
    deployment: Deployment, own_models: Path
) -> None:
    enrol_some(deployment, 3)
    deployment.parts.catalogue.save()
    manifest = json.loads((own_models / "embedder.json").read_bytes())
    altered = (own_models / "embedder.onnx").read_bytes()
    # A field that runtimes pass over: another file, the same network.
    altered += b"\x32\x01x"
    (own_models / "embedder.onnx").write_bytes(altered)
    manifest["sha256"] = sha256(altered).hexdigest()
    (own_models / "embedder.json").write_text(json.dumps(manifest))
    before = answers(deployment)
    deployment.restart(models=own_models)
    status = deployment.parts.catalogue.status()
    assert status.model_digest == manifest["sha256"]
    assert status.problem is not None
    assert "another model" in status.problem
    assert answers(deployment) == before


# --- what is damaged is never used (promise R5) ---------------------------------------


@pytest.mark.parametrize("name", ["index.npz", "manifest.json", "manifest.sha256"])
def test_a_damaged_snapshot_is_never_served(deployment: Deployment, name: str) -> None:
    enrol_some(deployment, 3)
    catalogue = deployment.parts.catalogue
    catalogue.save()
    (folder,) = deployment.snapshots.iterdir()
    whole = (folder / name).read_bytes()
    digest = catalogue.index_digest
    for number in range(70):
        damage(folder / name, number)
        again = type(catalogue)(
            deployment.store, deployment.blobs, catalogue.embedder, deployment.snapshots
        )
        problem = again.status().problem
        assert problem is not None, f"damage {number} was not seen"
        assert folder.name in problem
        assert again.index_digest == digest, "the records serve in its place"
        (folder / name).write_bytes(whole)


def test_the_last_good_snapshot_serves_where_the_newest_is_damaged(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 2)
    deployment.parts.catalogue.save()
    deployment.enrol(printed(2, size_px=LABEL_PX), "P-2")
    deployment.parts.catalogue.save()
    newest = max(deployment.snapshots.iterdir())
    damage(newest / "index.npz", 1)
    before = answers(deployment)
    deployment.restart()
    status = deployment.parts.catalogue.status()
    assert status.problem is not None
    assert newest.name in status.problem
    assert status.references == 3
    assert answers(deployment) == before
    deployment.parts.catalogue.rebuild()
    assert deployment.parts.catalogue.status().problem is None
    deployment.restart()
    assert deployment.parts.catalogue.status().problem is None


def test_another_sound_index_is_not_the_one_that_the_manifest_names(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 2)
    deployment.parts.catalogue.save()
    (old,) = deployment.snapshots.iterdir()
    deployment.enrol(printed(2, size_px=LABEL_PX), "P-2")
    deployment.parts.catalogue.save()
    newest = max(deployment.snapshots.iterdir())
    shutil.copy(old / "index.npz", newest / "index.npz")
    deployment.restart()
    status = deployment.parts.catalogue.status()
    assert status.problem is not None
    assert "SHA-256" in status.problem
    assert status.references == 3


@pytest.mark.parametrize("what", ["half", "empty", "no manifest", "foreign manifest"])
def test_a_half_written_snapshot_is_never_loaded(
    deployment: Deployment, what: str
) -> None:
    enrol_some(deployment, 2)
    deployment.parts.catalogue.save()
    (folder,) = deployment.snapshots.iterdir()
    newer = deployment.snapshots / ("9" * 12 + "-abc")
    if what == "half":  # killed before it was renamed
        newer = deployment.snapshots / f".{folder.name}.123"
        folder.rename(newer)
        damage(newer / "index.npz", 2)
    else:
        shutil.copytree(folder, newer)
    if what == "empty":
        (newer / "index.npz").write_bytes(b"")
    elif what == "no manifest":
        (newer / "manifest.json").unlink()
    elif what == "foreign manifest":
        (newer / "manifest.json").write_bytes(b"{}")
        (newer / "manifest.sha256").write_bytes(sha256(b"{}").digest())
    deployment.restart()
    status = deployment.parts.catalogue.status()
    assert status.references == 2
    assert (status.problem is None) == (what == "half")


def test_a_snapshot_newer_than_the_records_is_refused(deployment: Deployment) -> None:
    # The records come back from a back-up: what was withdrawn since is there again.
    enrolled = enrol_some(deployment, 3)
    digest = deployment.parts.catalogue.index_digest
    backup = deployment.settings.data_dir / "backup.db"
    live = deployment.settings.data_dir / "touchstone.db"
    with (
        closing(sqlite3.connect(live)) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    deployment.store.withdraw_specimen(deployment.brand, enrolled[0].specimen.id)
    deployment.parts.catalogue.refresh()
    deployment.parts.catalogue.save()
    deployment.parts.close()
    for name in ("touchstone.db-wal", "touchstone.db-shm"):
        (deployment.settings.data_dir / name).unlink(missing_ok=True)
    backup.replace(live)
    deployment.restart()
    status = deployment.parts.catalogue.status()
    assert status.problem is not None
    assert "newer than the records" in status.problem
    assert deployment.parts.catalogue.index_digest == digest


# --- who may match what ---------------------------------------------------------------


def test_a_grant_shows_and_its_end_hides_at_once(deployment: Deployment) -> None:
    first, second = enrol_some(deployment, 2)
    officer = deployment.officer
    assert deployment.near(photo_of(0), officer) == []
    deployment.share(first)
    assert [n for n, _ in deployment.near(photo_of(0), officer)] == [1]
    assert [n for n, _ in deployment.near(photo_of(1), officer)] == [1]
    deployment.share(second)
    assert [n for n, _ in deployment.near(photo_of(1), officer)] == [2, 1]
    deployment.unshare(first)
    assert [n for n, _ in deployment.near(photo_of(0), officer)] == [2]
    assert deployment.near(photo_of(0), deployment.stranger) == []


def test_one_brand_never_meets_the_references_of_another(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 2)
    face = printed(10, size_px=LABEL_PX)
    deployment.enrol(face, "P-0", caller=deployment.rival)
    assert [n for n, _ in deployment.near(face.pixels, deployment.rival)] == [3]
    assert {n for n, _ in deployment.near(face.pixels)} == {1, 2}
    assert {n for n, _ in deployment.near(face.pixels, deployment.operator)} == {
        1,
        2,
        3,
    }


def test_the_references_of_others_do_not_crowd_out_ones_own(
    deployment: Deployment,
) -> None:
    enrol_some(deployment, 1)
    face = printed(10, size_px=LABEL_PX)
    for face_name in ("front", "back", "side"):
        deployment.enrol(face, "P-0", caller=deployment.rival, face=face_name)
    catalogue = deployment.parts.catalogue
    near, _ = catalogue.candidates(deployment.brand, face.pixels, 1)
    ((found, _),) = near
    assert found.label == 1


def test_a_withdrawn_reference_is_gone_at_once(deployment: Deployment) -> None:
    first, second = enrol_some(deployment, 2)
    deployment.store.withdraw_specimen(deployment.brand, first.specimen.id)
    assert [n for n, _ in deployment.near(photo_of(0))] == [2]
    deployment.store.withdraw_reference_set(deployment.brand, second.reference_set.id)
    assert deployment.near(photo_of(0)) == []


def test_searching_while_references_come_and_go_is_safe_and_current(
    deployment: Deployment,
) -> None:
    # Promise R6, from the records on; the index alone is tested in engine/.
    enrol_some(deployment, 2)
    store, brand = deployment.store, deployment.brand
    pixels = photo_of(0)
    derived = deployment.parts.catalogue.derive(pixels)
    removed: list[int] = []
    is_over = threading.Event()

    def change() -> None:
        for number in range(40):
            image = sha256(b"%d" % number).hexdigest()
            made = store.enrol_specimen(
                brand,
                product=ProductFields("P-0"),
                reference_set=SetFields(),
                specimen=SpecimenFields(image, width_px=560, height_px=300),
                derived=derived,
            )
            assert made.specimen.label in dict(deployment.near(pixels))
            store.withdraw_specimen(brand, made.specimen.id)
            removed.append(made.specimen.label)

    def search() -> int:
        searches = 0
        while not is_over.is_set():
            gone = set(removed)
            found = dict(deployment.near(pixels))
            assert not gone & set(found)
            assert {1, 2} <= set(found)
            searches += 1
        return searches

    with ThreadPoolExecutor(9) as threads:
        searching = [threads.submit(search) for _ in range(8)]
        try:
            threads.submit(change).result(timeout=60)
        finally:
            is_over.set()
        assert sum(one.result(timeout=60) for one in searching) >= 8
    deployment.parts.catalogue.refresh()
    assert deployment.parts.catalogue.status().references == 2


def test_what_is_filled_in_later_is_said_of_the_first_reference_too(
    deployment: Deployment,
) -> None:
    gtin = "4006381333931"
    deployment.enrol(printed(0, size_px=LABEL_PX))
    catalogue = deployment.parts.catalogue

    def first() -> tuple[str | None, str]:
        view = deployment.store.reference(deployment.brand, 1)
        known = catalogue.reference(view)
        return known.gtin, known.product_class

    assert first() == (None, "")
    deployment.enrol(printed(1, size_px=LABEL_PX), gtin=gtin)
    assert first() == (gtin, "")
    deployment.enrol(printed(2, size_px=LABEL_PX), category="Personal care")
    assert first() == (gtin, "personal_care")
