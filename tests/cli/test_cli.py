"""The command line: data on stdout, words on stderr, a code that says which."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from cli.conftest import Run
from small_world import printed_mark, write_jpeg

from touchstone import cli
from touchstone.cli.demonstration import demonstrate
from touchstone.cli.exits import Exit, exit_code_for
from touchstone.engine.wording import FindingKind
from touchstone.errors import ConfigurationError, StorageError, TouchstoneError
from touchstone.lots import COLUMNS
from touchstone.settings import Settings

# --- every command ------------------------------------------------------------------


def commands() -> dict[str, typer.core.TyperCommand]:
    found: dict[str, typer.core.TyperCommand] = {}

    def walk(command: Any, name: str) -> None:
        children = getattr(command, "commands", {})
        for word, child in children.items():
            walk(child, f"{name} {word}".strip())
        if not children:
            found[name] = command

    walk(typer.main.get_command(cli.app), "")
    return found


LOT = [
    "plan",
    "conclude",
    "report",
    "create",
    "list",
    "add",
    "score",
    "results",
    "pause",
    "resume",
    "cancel",
    "retry",
]
FILE = ["operation", "case", "seizure", "exhibit", "custody", "list", "move"]


def test_the_commands_are_those_of_the_contract() -> None:
    assert sorted(commands()) == sorted(
        [
            "enrol",
            "verify",
            "score",
            "serve",
            "demo",
            "index rebuild",
            "work",
            *(f"lot {name}" for name in LOT),
            *(f"file {name}" for name in FILE),
            "migrate",
            "fsck",
            "keys create",
            "keys list",
            "keys revoke",
            "organisations create",
            "organisations list",
        ]
    )


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_takes_data_and_json_and_has_an_account(name: str) -> None:
    command = commands()[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--data", "--json"} <= options
    assert command.help
    assert all(getattr(p, "help", None) for p in command.params if p.name != "help")


@pytest.mark.parametrize(
    "arguments",
    [["verify"], ["nonsense"], ["score", "absent", "--out", "x.csv"], ["enrol", "no"]],
)
def test_a_wrong_call_exits_with_2(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error" in ran.err


def test_a_crash_is_not_mistaken_for_a_finding(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(**_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(cli, "app", crash)
    ran = run("verify", "photo.jpg")
    assert ran.code == 4
    assert "a defect" in ran.err


def test_a_missing_model_is_named_with_what_was_expected(
    run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(shutil.copytree(world / "models", tmp_path / "models"))
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(models))
    digest = json.loads((models / "embedder.json").read_text())["sha256"]
    (models / "embedder.onnx").unlink()
    ran = run("verify", world / "photos" / "genuine.jpg")
    assert ran.code == 4
    assert digest in ran.err
    assert not (tmp_path / "data").exists()


def test_an_altered_model_is_refused_with_the_digest_that_was_expected(
    run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(shutil.copytree(world / "models", tmp_path / "models"))
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(models))
    digest = json.loads((models / "embedder.json").read_text())["sha256"]
    with (models / "embedder.onnx").open("r+b") as file:
        file.seek(200)
        file.write(b"\xff")
    ran = run("verify", world / "photos" / "genuine.jpg")
    assert ran.code == 4
    assert digest in ran.err


def test_a_setting_that_cannot_be_honoured_exits_with_4(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHSTONE_PORT", "many")
    ran = run("keys", "list")
    assert ran.code == 4
    assert "port" in ran.err


# --- exit codes ---------------------------------------------------------------------

GENUINE = FindingKind.CONSISTENT_WITH_GENUINE


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([GENUINE], 0),
        ([GENUINE, FindingKind.INCONSISTENT_WITH_GENUINE, ""], 1),
        ([FindingKind.MATCHES_KNOWN_COUNTERFEIT], 1),
        ([GENUINE, FindingKind.CONSISTENT_WITH_OTHER_VARIANT], 1),
        ([GENUINE, FindingKind.INCONCLUSIVE], 3),
        ([FindingKind.NO_REFERENCE], 3),
        ([FindingKind.INSUFFICIENT_QUALITY], 3),
        ([GENUINE, ""], 3),
        (["something new"], 3),
    ],
)
def test_exit_codes_fail_closed(findings: list[str], code: int) -> None:
    assert exit_code_for(findings) == code


def test_every_finding_has_an_exit_code() -> None:
    assert {exit_code_for([kind]) for kind in FindingKind} == {
        Exit.CONSISTENT,
        Exit.INCONSISTENT,
        Exit.UNDECIDED,
    }


# --- enrol --------------------------------------------------------------------------


def test_the_same_references_twice_are_enrolled_once(run: Run, world: Path) -> None:
    references = world / "references" / "references.csv"
    first = run("enrol", references, "--json")
    assert first.lines == [{"enrolled": 3, "already": 0, "errors": [], "unclassed": []}]
    assert first.code == 0
    again = run("enrol", references, "--json")
    assert again.lines == [{"enrolled": 0, "already": 3, "errors": [], "unclassed": []}]


def test_a_bad_row_is_reported_and_the_good_ones_are_enrolled(
    run: Run, world: Path, tmp_path: Path
) -> None:
    good = world / "references" / "0.jpg"
    table = tmp_path / "references.csv"
    table.write_text(f"product_id,image\nP-0,{good}\nP-1,absent.jpg\n,{good}\n")
    ran = run("enrol", table, "--json")
    assert ran.code == 4
    (report,) = ran.lines
    assert report["enrolled"] == 1
    assert [(error["line"], error["field"]) for error in report["errors"]] == [
        (3, "image"),
        (4, "product_id"),
    ]
    assert "line 3" in ran.err


def test_a_category_that_names_no_class_is_told(
    run: Run, world: Path, tmp_path: Path
) -> None:
    one, other = (world / "references" / f"{number}.jpg" for number in (0, 1))
    table = tmp_path / "references.csv"
    table.write_text(
        f"product_id,image,category\nP-0,{one},Personal care\nP-1,{other},Soaps\n"
    )
    ran = run("enrol", table, "--json")
    assert ran.code == 0
    assert ran.lines[0]["unclassed"] == ["Soaps"]
    assert "'Soaps' names no class" in ran.err
    assert "personal_care" in ran.err


def test_a_table_without_its_columns_is_a_wrong_call(run: Run, tmp_path: Path) -> None:
    (tmp_path / "references.csv").write_text("image\nx.jpg\n")
    assert run("enrol", "references.csv").code == 2


# --- verify -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photos", "code", "findings"),
    [
        (["genuine"], 0, ["consistent_with_genuine"]),
        (["genuine", "fake"], 1, [GENUINE, "inconsistent_with_genuine"]),
        (["unknown", "genuine"], 3, ["no_reference", GENUINE]),
        (["broken"], 4, [""]),
        (["genuine", "broken"], 4, [GENUINE, ""]),
        (["broken", "fake"], 1, ["", "inconsistent_with_genuine"]),
    ],
)
def test_verify_prints_one_line_for_each_photo(
    run: Run,
    world: Path,
    data: Path,
    *,
    photos: list[str],
    code: int,
    findings: list[str],
) -> None:
    paths = [world / "photos" / f"{name}.jpg" for name in photos]
    ran = run("verify", *paths, "--data", data)
    assert [line["finding"] for line in ran.lines] == findings
    assert [line["image"] for line in ran.lines] == [str(path) for path in paths]
    assert all(set(COLUMNS) <= set(line) for line in ran.lines)
    assert ran.code == code
    assert ("packaging, not its content" in ran.err) == any(findings)


def test_a_photo_that_is_not_there_is_a_line_with_an_error(
    run: Run, data: Path, tmp_path: Path
) -> None:
    ran = run("verify", "absent.jpg", tmp_path)
    assert ran.code == 4
    assert [bool(line["error"]) for line in ran.lines] == [True, True]
    assert data.is_dir()


def test_evidence_is_written_where_something_was_compared(
    run: Run, world: Path, data: Path, tmp_path: Path
) -> None:
    photos = [world / "photos" / name for name in ("fake.jpg", "unknown.jpg")]
    fake, unknown = run("verify", *photos, "--evidence", "seen", "--data", data).lines
    assert set(fake["evidence"]) == {"pair", "overlay", "deviation"}
    for path in fake["evidence"].values():
        assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")
    assert unknown["evidence"] == {}
    assert len(list((tmp_path / "seen").iterdir())) == 3
    assert fake["regions"][0]["in"] == "reference"
    assert fake["counterfeit_probability"] > 0.5


def test_what_an_item_claims_is_held_against_it(
    run: Run, world: Path, data: Path
) -> None:
    photo = world / "photos" / "genuine.jpg"
    right = run("verify", photo, "--declared-product", "P-0", "--data", data)
    wrong = run("verify", photo, "--declared-product", "P-1", "--data", data)
    assert right.code == 0
    assert wrong.lines[0]["finding"] == "consistent_with_other_variant"
    assert wrong.code == 1


def test_a_gtin_that_is_none_is_a_wrong_call(run: Run, world: Path, data: Path) -> None:
    photo = world / "photos" / "genuine.jpg"
    assert run("verify", photo, "--gtin", "123", "--data", data).code == 2


# --- score --------------------------------------------------------------------------


def test_a_lot_is_scored_as_its_photos_are_verified(
    run: Run, world: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.csv"
    ran = run("score", world / "photos", "--out", out, "--workers", 2, "--json")
    assert ran.code == 1
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["finding"], row["product_id"]) for row in rows] == [
        ("broken.jpg", "", ""),
        ("fake.jpg", "inconsistent_with_genuine", "P-1"),
        ("genuine.jpg", "consistent_with_genuine", "P-0"),
        ("unknown.jpg", "no_reference", ""),
    ]
    assert ran.lines == [
        {
            "out": str(out),
            "photos": 4,
            "resumed": 0,
            "left_out": 0,
            "errors": 1,
            "findings": {
                "consistent_with_genuine": 1,
                "inconsistent_with_genuine": 1,
                "no_reference": 1,
            },
        }
    ]
    verified = run("verify", world / "photos" / "fake.jpg", "--data", data).lines[0]
    fake = rows[1]
    assert float(fake["log10_lr"]) == verified["log10_lr"]
    assert json.loads(fake["regions"]) == verified["regions"]
    assert json.loads(fake["quality"]) == verified["quality"]
    assert data.is_dir()


def test_a_lot_is_not_gone_on_with_after_an_enrolment_unless_mixed(
    run: Run, world: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lot = tmp_path / "lot"
    lot.mkdir()
    shutil.copy(world / "photos" / "genuine.jpg", lot)
    score = ("score", lot, "--out", "results.csv", "--workers", 1, "--data", data)

    def refuse(*_: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr("touchstone.lots.scoring.write_rows", refuse)
        assert run(*score).code == 4
    write_jpeg(tmp_path / "more" / "9.jpg", printed_mark(9))
    (tmp_path / "more" / "r.csv").write_text(
        "product_id,image,brand,name,gtin\nP-9,9.jpg,Acme,Soap 9,\n"
    )
    assert run("enrol", tmp_path / "more" / "r.csv", "--data", data).code == 0
    refused = run(*score)
    assert (refused.code, refused.out) == (2, "")
    assert "other references (" in refused.err
    assert "--out" in refused.err
    assert "--mixed" in refused.err
    assert not (tmp_path / "results.csv").exists()
    assert run(*score, "--mixed").code == 0
    assert (tmp_path / "results.csv").exists()


def test_a_result_of_an_unknown_kind_is_a_wrong_call(run: Run, world: Path) -> None:
    assert run("score", world / "photos", "--out", "results.xls").code == 2


# --- upkeep -------------------------------------------------------------------------


def test_the_index_is_only_a_cache(run: Run, world: Path, data: Path) -> None:
    photo = world / "photos" / "genuine.jpg"
    before = run("verify", photo).lines[0]
    shutil.rmtree(data / "index")
    ran = run("index", "rebuild", "--json")
    assert ran.code == 0
    assert ran.lines[0]["references"] == 3
    after = run("verify", photo).lines[0]
    assert {name: after[name] for name in ("finding", "log10_lr", "regions")} == {
        name: before[name] for name in ("finding", "log10_lr", "regions")
    }


def test_migrating_twice_changes_nothing(run: Run) -> None:
    assert run("migrate", "--json").lines == [{"migrated": True}]
    assert run("migrate", "--json").lines == [{"migrated": False}]


def test_sound_data_pass_and_leftovers_are_swept(
    run: Run, world: Path, data: Path
) -> None:
    run("verify", world / "photos" / "genuine.jpg")
    (health,) = run("fsck", "--json").lines
    assert health["ok"]
    assert health["images"] == 4
    assert health["events"] > 4
    again = run("fsck", "--checkpoint", f"{health['head_seq']}:{health['head_hash']}")
    assert again.code == 0
    other = run("fsck", "--checkpoint", f"{health['head_seq']}:{'0' * 64}")
    assert other.code == 4
    assert data.is_dir()


def test_altered_and_missing_images_are_found(run: Run, data: Path) -> None:
    first, second, _ = sorted(
        path for path in (data / "blobs").rglob("*") if path.is_file()
    )
    first.chmod(0o600)
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    second.unlink()
    ran = run("fsck", "--json")
    assert ran.code == 4
    assert ran.lines[0]["altered_images"] == [first.name]
    assert ran.lines[0]["missing_images"] == [second.name]


def test_fsck_makes_nothing_where_nothing_is(run: Run, tmp_path: Path) -> None:
    assert run("fsck", "--data", tmp_path / "nowhere").code == 4
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("text", ["12", "x:y", ":"])
def test_a_checkpoint_that_is_none_is_a_wrong_call(run: Run, text: str) -> None:
    assert run("fsck", "--checkpoint", text).code == 2


# --- access -------------------------------------------------------------------------


def test_a_key_is_shown_once_and_ends_when_revoked(run: Run) -> None:
    made = run("organisations", "create", "Acme", "--kind", "brand", "--json").lines[0]
    key = run(
        *("keys", "create", "--role", "brand_owner", "--label", "web"),
        *("--organisation", made["id"], "--expires-days", 30, "--json"),
    ).lines[0]
    assert key["secret"].startswith("ts_")
    assert key["organisation_id"] == made["id"]
    assert key["expires_at"]
    listed = run("keys", "list", "--json")
    assert key["secret"] not in listed.out
    assert [line["id"] for line in listed.lines] == [key["id"]]
    assert run("keys", "revoke", key["id"], "--json").lines[0]["revoked_at"]


def test_a_key_for_people_is_the_secret_alone_on_stdout(run: Run) -> None:
    ran = run("keys", "create", "--role", "admin", "--label", "laptop")
    assert ran.out.startswith("ts_")
    assert len(ran.out.split()) == 1
    assert "once" in ran.err


def test_tables_hold_whole_ids(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ids = [
        run("organisations", "create", name, "--kind", "customs", "--json").lines[0][
            "id"
        ]
        for name in ("Douane", "[red]Zoll")
    ]
    table = run("organisations", "list")
    flat = "".join(table.out.split()).replace("│", "")
    assert all(part in flat for one in ids for part in one.split("-"))
    assert "[red]Zoll" in table.out


def test_what_is_refused_exits_with_4(run: Run) -> None:
    run("organisations", "create", "Acme", "--kind", "brand")
    ran = run("organisations", "create", "Acme", "--kind", "brand")
    assert ran.code == 4
    assert "exists already" in ran.err


# --- demo ---------------------------------------------------------------------------


@pytest.fixture
def samples(world: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(world / "references", tmp_path / "samples"))
    shutil.copytree(world / "photos", folder / "photos")
    (folder / "photos.csv").write_text(
        "image,truth,note,declared_product\n"
        "photos/genuine.jpg,genuine,,\n"
        "photos/fake.jpg,counterfeit,a panel inverted,\n"
        "photos/genuine.jpg,genuine,sold as another,P-1\n"
    )
    return folder


def test_the_demo_shows_what_was_found_beside_what_is_true(
    samples: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    demonstrate(samples, Settings.load(data_dir=tmp_path / "demo"), json=False)
    out, _ = capfd.readouterr()
    for words in (
        "genuine.jpg",
        "counterfeit: a panel inverted",
        "inconsistent with genuine",
        "consistent with other variant",
    ):
        assert words in out
    pictures = [line.strip() for line in out.splitlines() if line.endswith(".png")]
    assert len(pictures) == 3
    assert all(Path(path).is_file() for path in pictures)


def test_the_demo_for_programs_prints_lines(
    samples: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    demonstrate(samples, Settings.load(data_dir=tmp_path / "demo"), json=True)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["truth"] for line in lines] == ["genuine", "counterfeit", "genuine"]
    assert lines[1]["finding"] == "inconsistent_with_genuine"


def test_a_demo_without_samples_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sample"):
        demonstrate(tmp_path, Settings.load(), json=False)


def test_a_demo_that_misses_a_column_says_which(samples: Path) -> None:
    (samples / "photos.csv").write_text("image,note\nphotos/genuine.jpg,\n")
    with pytest.raises(TouchstoneError, match="truth"):
        demonstrate(samples, Settings.load(), json=False)
