"""What the documents say is what the code does."""

import re
from pathlib import Path

import pytest

from touchstone import cli
from touchstone.cli.exits import Exit
from touchstone.engine.wording import FindingKind
from touchstone.lots import COLUMNS
from touchstone.settings import DATA_VARIABLE, PREFIX, Settings
from touchstone.web.problems import STATUS, slug_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def table(header: str) -> list[list[str]]:
    """Return the rows of README's table whose first column has this header."""
    found = re.search(rf"^\| {header} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", README, re.M)
    assert found, header
    rows = found.group(1).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def plain(cell: str) -> str:
    return cell.strip("`")


def test_the_help_is_what_the_program_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    blocks = re.findall(r"```text\n(.*?)```", README, re.S)
    assert "\n".join(shown) in [block.strip() for block in blocks]


def test_the_settings_are_those_that_are_read() -> None:
    told = {
        plain(name): (plain(default), words)
        for name, default, words in table("variable")
    }
    read = {}
    for name, field in Settings.model_fields.items():
        variable = DATA_VARIABLE if name == "data_dir" else PREFIX + name.upper()
        default = "models" if name == "model_dir" else field.get_default()
        assert field.description, name
        read[variable] = (
            "" if default is None else str(default),
            field.description.replace("\n", " "),
        )
    assert told == read


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert [int(code) for code, _ in table("exit code")] == sorted(Exit)


def test_the_columns_are_those_of_the_results() -> None:
    assert f"```text\n{','.join(COLUMNS)}\n```" in README


def test_the_findings_are_those_that_can_be_found() -> None:
    assert {plain(row[0]) for row in table("finding")} == {k.value for k in FindingKind}


def test_every_error_is_told_with_its_status() -> None:
    told = {plain(slug): int(status) for slug, status, _ in table("slug")}
    answered = {slug_of(error): status for error, status in STATUS.items()}
    assert answered.items() <= told.items()


def makefile_targets() -> list[str]:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.M)
    defined = re.findall(r"^([a-z]+):", text, re.M)
    assert sorted(phony.split()) == sorted(defined)
    return defined


def test_the_commands_of_the_makefile_are_eleven() -> None:
    wanted = "dev lint fix test serve train export image demo bench benchmark"
    assert sorted(makefile_targets()) == sorted(wanted.split())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_command_that_is_told_exists(name: str) -> None:
    code = re.findall(r"```.*?```|`[^`]+`", (ROOT / name).read_text(), re.S)
    told = {word for text in code for word in re.findall(r"\bmake (\w+)", text)}
    assert told <= set(makefile_targets())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_linked_exists(name: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", (ROOT / name).read_text())
    lacking = [link for link in links if not (ROOT / link).exists()]
    assert not lacking


def test_every_module_has_its_place_in_the_architecture() -> None:
    source = ROOT / "service" / "touchstone"
    modules = {
        path.name
        for path in source.rglob("*.py")
        if not path.name.startswith("_") and "migrations" not in path.parts
    }
    told = set(re.findall(r"`([a-z_]+\.py)`", ARCHITECTURE))
    assert modules <= told
    assert {name for name in told if not list(source.rglob(name))} == set()


def test_the_layers_that_are_drawn_are_those_that_are_held() -> None:
    drawing = ARCHITECTURE.split("## The layers")[1].split("```")[1]
    pyproject = (ROOT / "pyproject.toml").read_text()
    (layers,) = re.findall(r"^layers = \[(.*?)^\]", pyproject, re.S | re.M)
    names = re.findall(r"[a-z]+", re.sub(r"#.*", "", layers))
    places = [re.search(rf"^ +.*\b{name}\b", drawing, re.M) for name in names]
    assert all(places)
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)


def test_the_changelog_knows_this_version() -> None:
    version = re.search(
        r'__version__ = "(.*)"',
        (ROOT / "service" / "touchstone" / "__init__.py").read_text(),
    )
    assert version
    assert f"## [{version.group(1)}]" in (ROOT / "CHANGELOG.md").read_text()
