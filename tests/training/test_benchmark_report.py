"""The report of the benchmark, its plots, gallery and card, on invented rows."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from invented_photos import BLANK, FAMILIES, invented
from small_world import calibration, write_models

from touchstone.engine.policy import Policy
from touchstone.errors import InvalidInputError
from touchstone_training.benchmark import card
from touchstone_training.benchmark.gallery import (
    WORST,
    contact_sheet,
    failures_document,
    mending,
    sentence,
    worst,
)
from touchstone_training.benchmark.identification import (
    Answer,
    identification_document,
)
from touchstone_training.benchmark.observations import (
    CONTROL,
    Observation,
    read_observations,
    write_observations,
)
from touchstone_training.benchmark.pictures import TILE_PX, Kept, write_picture
from touchstone_training.benchmark.plots import LABELS, draw_plots
from touchstone_training.benchmark.real import RealRow, real_document
from touchstone_training.benchmark.report import (
    Document,
    capped,
    counterfeit_document,
    planted_document,
    products_document,
    without_nan,
)
from touchstone_training.measuring import GENUINE

POLICY = Policy.from_json(json.dumps(calibration()).encode())
DRAWS = 20
ROWS = invented()
EXAMINED = [row for row in ROWS if row.is_examined]


@pytest.fixture(scope="module")
def document() -> Document:
    return counterfeit_document(ROWS, POLICY, draws=DRAWS)


# --- the report -----------------------------------------------------------------------


def test_every_system_is_measured_on_the_same_examined_photos(
    document: Document,
) -> None:
    assert list(document["systems"]) == list(LABELS)
    ours = document["systems"]["touchstone"]
    low, high = ours["auroc"]["interval95"]
    assert low <= ours["auroc"]["value"] <= high
    assert ours["auroc"]["value"] > 0.85
    assert document["systems"]["embedding_cosine"]["auroc"]["value"] < 0.65
    assert document["genuine_examined"] == sum(not one.is_fake for one in EXAMINED)


def test_a_rate_that_so_few_genuine_photos_cannot_show_is_marked(
    document: Document,
) -> None:
    ours = document["systems"]["touchstone"]
    assert not ours["tpr_at_1_percent_fpr"]["is_supported"]
    many = [
        replace(row, name=f"{row.name}-{copy}") for row in ROWS for copy in range(4)
    ]
    more = counterfeit_document(many, POLICY, draws=2)["systems"]["touchstone"]
    assert more["tpr_at_1_percent_fpr"]["is_supported"]
    assert not more["tpr_at_0_1_percent_fpr"]["is_supported"]


def test_slices_hold_every_counterfeit_once(document: Document) -> None:
    fakes = sum(one.is_fake for one in EXAMINED)
    for key in ("per_kind", "per_severity", "per_family"):
        assert sum(one["photos"] for one in document[key].values()) == fakes
    assert list(document["per_severity"]) == ["subtle", "middle", "crude"]
    assert set(document["per_family"]) == set(FAMILIES)


def test_abstention_counts_every_photo(document: Document) -> None:
    for side, is_fake in (("genuine", False), ("counterfeit", True)):
        own = [one for one in ROWS if one.is_fake == is_fake]
        told = document["decisions"][side]["abstained"]
        assert told["total"] == len(own)
        assert told["hits"] == sum(not one.is_examined for one in own)


def test_photos_in_which_nothing_was_found_are_no_score() -> None:
    lost = replace(BLANK, name="lost", group="0", log10_lr=None, peers={})
    lost = replace(lost, finding="no_reference", measurements={})
    one = counterfeit_document([*ROWS, lost], POLICY, draws=2)
    assert one["photos"] == len(ROWS) + 1
    assert np.isfinite(one["before_abstention"]["value"])


def test_the_same_rows_give_the_same_report(document: Document) -> None:
    again = counterfeit_document(ROWS, POLICY, draws=DRAWS)
    assert without_nan(document) == without_nan(again)


def test_ratios_are_reported_within_their_caps() -> None:
    strong = [replace(BLANK, log10_lr=value) for value in (-9.0, 0.5, 9.0)]
    assert capped(strong, POLICY).tolist() == [-3.0, 0.5, 3.0]


def planted_rows() -> list[Observation]:
    rows = []
    for number in range(8):
        for part, kind, ratio in (
            ("untouched", GENUINE, 0.5),
            ("control", CONTROL, 0.4),
            ("planted", "typo", -0.6 if number else 0.7),
        ):
            rows.append(
                replace(
                    BLANK,
                    name=f"shelf:front/{number}.jpg:{part}",
                    group=str(number),
                    source="shelf",
                    kind=kind,
                    severity=0.5 * (kind == "typo"),
                    finding="insufficient_quality",
                    log10_lr=ratio,
                    is_hit=True if kind == "typo" else None,
                )
            )
    return rows


def test_planted_counterfeits_are_held_against_their_own_control() -> None:
    one = planted_document(planted_rows(), draws=5)
    assert (one["photos"], one["planted"]) == (8, 8)
    assert one["above_own_control"]["touchstone"]["hits"] == 7
    assert one["moved_by_control"] == pytest.approx(0.1)
    # 7 of 8 are above all 16 others, and one is below them.
    assert one["auroc"]["touchstone"]["value"] == pytest.approx(7 / 8)
    assert one["per_kind"]["typo"]["localisation"]["share"] == 1


def test_changes_of_one_photo_are_held_against_its_one_control() -> None:
    rows = planted_rows()
    more = [
        replace(one, name=one.name.replace("planted", "cast"), kind="cast")
        for one in rows
        if one.is_fake
    ]
    one = planted_document([*rows, *more], draws=5)
    assert (one["photos"], one["planted"]) == (8, 16)
    assert one["above_own_control"]["touchstone"]["hits"] == 2 * 7
    assert one["above_own_control"]["touchstone"]["total"] == 2 * 8
    assert one["per_kind"]["cast"]["photos"] == 8


def test_real_photos_are_counted_by_what_was_named() -> None:
    def seen(
        named: str | None,
        finding: str,
        *,
        unknown: str | None,
        other: str | None = None,
    ) -> RealRow:
        first = named or "B"
        return RealRow("shelf", "a.jpg", "A", named, first, finding, [], unknown, other)

    one: Any = real_document(
        [
            seen("A", "inconclusive", unknown="no_reference"),
            seen("B", "inconsistent_with_genuine", unknown="insufficient_quality"),
            seen("A", "inconclusive", unknown="insufficient_quality", other="B"),
            seen(None, "no_reference", unknown=None),
        ]
    )
    hits = {
        "recall_at_1": (2, 4),
        "accepted_right": (2, 4),
        "accepted_wrong": (1, 4),
        "known_lost": (1, 4),
        "unknown_rejected": (1, 3),
        "unknown_named": (1, 3),
        "genuine_inconsistent": (1, 4),
    }
    for name, (hit, total) in hits.items():
        assert (one[name]["hits"], one[name]["total"]) == (hit, total), name


def answer(named: str | None, finding: str = "inconclusive") -> Answer:
    return Answer("field", "1", True, named, named, finding)


def test_a_sibling_is_told_apart_from_another_design() -> None:
    other = "sibling of 1"
    answers = [
        answer("1"),
        answer(other, finding="inconsistent_with_genuine"),
        replace(answer(None, finding="no_reference"), likeliest="2"),
        replace(
            answer("1", finding="inconsistent_with_genuine"),
            product="3",
            is_enrolled=False,
        ),
        replace(answer(None, finding="no_reference"), product="3", is_enrolled=False),
        replace(
            answer(None, finding="insufficient_quality"),
            product="3",
            is_enrolled=False,
        ),
    ]
    one: Any = identification_document(answers)["all"]
    assert one["recall_at_1"]["hits"] == 1
    assert one["design_or_sibling_at_1"]["hits"] == 2
    assert one["named_sibling"]["hits"] == 1
    assert one["named_another"]["hits"] == 0
    assert one["known_lost"]["hits"] == 1
    for name in ("unknown_rejected", "unknown_named", "genuine_inconsistent"):
        assert (one[name]["hits"], one[name]["total"]) == (1, 3), name


def test_observations_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_observations(tmp_path / "deep" / "rows.jsonl", ROWS)
    assert read_observations(tmp_path / "deep" / "rows.jsonl") == ROWS


# --- plots ----------------------------------------------------------------------------


def drawn(folder: Path, document: Document) -> list[Path]:
    ratios = capped(EXAMINED, POLICY)
    return draw_plots(folder, EXAMINED, ratios, document, draws=DRAWS)


def test_every_plot_is_small_sharp_and_shows_every_system(
    tmp_path: Path, document: Document
) -> None:
    paths = drawn(tmp_path, document)
    assert {path.stem for path in paths} == {
        "roc", "det", "tippett", "calibration", "kinds", "severity",
    }  # fmt: skip
    for path in paths:
        assert path.stat().st_size < 150_000
        words = " ".join(ET.parse(path).getroot().itertext())  # noqa: S314 (our own)
        if path.stem in {"roc", "det", "kinds", "severity"}:
            assert all(label in words for label in LABELS.values()), path
    assert "typo (" in (tmp_path / "kinds.svg").read_text(encoding="utf-8")


def test_the_same_rows_draw_the_same_plots(tmp_path: Path, document: Document) -> None:
    both = [drawn(tmp_path / name, document) for name in ("one", "two")]
    for one, two in zip(*both, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_nothing_is_drawn_of_one_side_alone(tmp_path: Path) -> None:
    genuine = [one for one in EXAMINED if not one.is_fake]
    assert draw_plots(tmp_path, genuine, capped(genuine, POLICY), {}, draws=2) == []


# --- the gallery ----------------------------------------------------------------------


def test_the_worst_are_answers_that_misled_most() -> None:
    misses, alarms = worst(ROWS)
    assert len(misses) == len(alarms) == WORST
    assert all(one.is_fake and one.suspicion < 0 for one in misses)
    assert all(not one.is_fake and one.suspicion > 0 for one in alarms)
    assert all(one.is_examined for one in (*misses, *alarms))
    for ranked in (
        [-one.suspicion for one in misses],
        [one.suspicion for one in alarms],
    ):
        assert ranked == sorted(ranked, reverse=True)


def test_a_failure_is_told_with_what_was_measured_and_what_would_mend_it() -> None:
    miss = replace(
        BLANK,
        kind="typo",
        severity=0.2,
        changed_share=0.001,
        log10_lr=1.4,
        is_hit=False,
        top="colour",
        deviation=1.2,
        conditions={"shape": "carton", "tilt_deg": -22.0, "fingers": 1},
    )
    assert sentence(miss) == (
        "*typo*, severity 0.20, 0.1% of the face, perfume, field, carton, slanted by "
        "22°, fingers: log10 LR +1.4, `inconclusive`; the top region (`colour`, 1.2 "
        "times what is usual) lies elsewhere. Would mend it: a closer photo, as the "
        "change is a few pixels there."
    )
    assert "weighing it more" in mending(replace(miss, is_hit=True))
    rescan = replace(miss, kind="rescan")
    assert "a closer photo" in mending(rescan)
    assert "closer look" in mending(replace(rescan, measurements={"closer_look": 1.0}))
    assert "more such counterfeits" in mending(replace(miss, changed_share=0.1))


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"fingers": 2}, "fingers"),
        ({"glare": 0.8}, "reflections"),
        ({"shape": "pouch"}, "bend"),
        ({"yaw_deg": 30.0}, "straight on"),
        ({"jpeg_quality": 40}, "less compressed"),
        ({}, "more such genuine photos"),
    ],
)
def test_a_false_alarm_is_mended_by_how_it_was_taken(
    conditions: dict[str, Any], words: str
) -> None:
    alarm = replace(BLANK, log10_lr=-1.0, conditions=conditions)
    assert words in mending(alarm)


def test_the_contact_sheet_shows_a_strip_for_each_and_stays_small(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path, 224)
    misses, alarms = worst(ROWS)
    rng = np.random.default_rng(0)
    for one in (*misses, *alarms):
        noise = rng.integers(0, 256, (TILE_PX, 3 * TILE_PX + 8, 3), np.uint8)
        write_picture(kept.strip_of(one.name), noise)
    data = contact_sheet([*misses, *alarms], kept)
    assert 20_000 < len(data) <= 300_000
    sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet.shape[0] > 10 * TILE_PX
    assert sheet.shape[1] > 6 * TILE_PX
    assert contact_sheet(misses, Kept(tmp_path / "empty", 224)) == b""


# --- the card -------------------------------------------------------------------------


def report_of(document: Document) -> Document:
    answers = [answer("1")]
    row = RealRow("shelf", "a.jpg", "A", "A", "A", "inconclusive", [], None, None)
    planted = planted_rows()
    return {
        "format": card.FORMAT,
        "simulated": dict.fromkeys(("both", "field", "inspector"), document),
        "products": products_document([one for one in ROWS if not one.is_fake]),
        "identification": identification_document(answers),
        "real": {"shelf": real_document([row]), "all": real_document([row])},
        "planted": {
            name: planted_document(planted, draws=3) for name in ("shelf", "all")
        },
        "failures": failures_document(ROWS, planted),
    }


POLICY_FITTED = {
    "thresholds": {"inconsistent_log10_lr": -0.71},
    "classes": {
        "medicine": {
            "inconsistent_log10_lr": -1.25,
            "genuine": 321,
            "genuine_called": 3,
            "designs": 60,
            "designs_called": 2,
        }
    },
    "evaluation": {"auroc_out_of_fold": 0.85, "cllr_out_of_fold": 0.69},
    "made_by": {"options": {"designs": 160}},
}


def card_folder(tmp_path: Path, report: Document, text: str) -> Path:
    folder = write_models(tmp_path / "models")
    (folder / "README.md").write_text(text, encoding="utf-8")
    told = json.dumps(without_nan(report))
    (folder / "evaluation.json").write_text(told, encoding="utf-8")
    fitted = json.loads((folder / "calibration.json").read_text()) | POLICY_FITTED
    (folder / "calibration.json").write_text(json.dumps(fitted), encoding="utf-8")
    return folder


def test_only_what_stands_between_the_marks_is_written(
    tmp_path: Path, document: Document
) -> None:
    old = "<!-- measured: written by `evaluate`, do not edit -->"
    text = f"# Ours\n\n{old}\n\nold\n\n{card.END}\n\nTheirs\n"
    folder = card_folder(tmp_path, report_of(document), text)
    card.write_card(folder)
    once = (folder / "README.md").read_text(encoding="utf-8")
    assert once.startswith(f"# Ours\n\n{card.BEGIN}\n")
    assert once.endswith(f"{card.END}\n\nTheirs\n")
    assert "\nold\n" not in once
    card.write_card(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == once


def test_the_card_tells_every_measure(document: Document) -> None:
    report = without_nan(report_of(document))
    lines = list(card.measured(report, POLICY_FITTED))
    told = "\n".join(lines)
    assert "| medicine | -1.25 | 3/321 | " in told
    assert "| personal care | -0.71 |  | " in told
    for word in (
        "equal error rate", "TPR at 0.1 % FPR", "the subtlest third", "Cllr",
        "abstained", "top region", "sibling", "unknown: `no_reference`", "planted",
        "figures/roc.svg", "figures/det.svg", "figures/tippett.svg",
        "figures/calibration.svg", "figures/kinds.svg", "figures/severity.svg",
        "figures/failures.jpg", *LABELS.values(), *FAMILIES,
    ):  # fmt: skip
        assert word.replace("_", " ") in told.replace("_", " "), word
    assert told.index("inspector, ") < told.index("field, ") < told.index("both, ")
    assert told.index("| subtle |") < told.index("| middle |") < told.index("| crude |")
    assert "nan" not in told
    assert "None" not in told
    # Every row of a table has as many cells as its head.
    for number, line in enumerate(lines):
        if line.startswith("|--"):
            width = lines[number - 1].count(" | ")
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                assert row.count(" | ") == width, row


def test_the_card_says_which_peer_did_not_run(document: Document) -> None:
    without: Any = json.loads(json.dumps(without_nan(report_of(document))))
    for one in without["simulated"].values():
        del one["systems"]["patchcore"]
    told = "\n".join(card.measured(without, POLICY_FITTED))
    assert "not run: `--patchcore-python`" in told


def test_a_card_without_marks_and_a_report_of_another_form_are_refused(
    tmp_path: Path, document: Document
) -> None:
    folder = card_folder(tmp_path, report_of(document), "# No marks\n")
    with pytest.raises(InvalidInputError, match="no place"):
        card.write_card(folder)
    marked = f"{card.BEGIN}\n{card.END}\n"
    old = card_folder(tmp_path / "old", {"real": {}}, marked)
    with pytest.raises(InvalidInputError, match="not of this benchmark"):
        card.write_card(old)


def test_the_shipped_card_is_written_from_the_shipped_report() -> None:
    models = Path(__file__).parents[2] / "models"
    report, policy = (
        json.loads((models / name).read_text(encoding="utf-8"))
        for name in ("evaluation.json", "calibration.json")
    )
    assert report["format"] == card.FORMAT
    text = (models / card.CARD).read_text(encoding="utf-8")
    assert "\n".join(card.measured(report, policy)) in text
    for figure in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (models / figure).is_file(), figure
