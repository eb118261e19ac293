"""The app's hand-written project: its syntax, its references, the package that it uses."""

import re

from tests.ios_bench.swift_source import PACKAGE, ROOT

_APP = ROOT / "ios_bench/AgecompactApp"
_TEXT = (_APP / "AgecompactApp.xcodeproj/project.pbxproj").read_text()
_TOKEN = re.compile(
    r'\s*(?:/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\])*"|[\w./$:<>-]+|[{}()=;,]))', re.DOTALL
)


def _parse(text):
    """Parses the old property list format: dictionaries, lists and words."""
    tokens = iter([m[1] for m in _TOKEN.finditer(text) if m[1]])

    def value(token):
        if token == "{":
            fields = {}
            while (name := next(tokens)) != "}":
                assert next(tokens) == "="
                fields[name] = value(next(tokens))
                assert next(tokens) == ";", name
            return fields
        if token == "(":
            items = []
            while (item := next(tokens)) != ")":
                items.append(value(item))
                assert next(tokens) == ","
            return items
        assert token not in "})=;,", token
        return token.strip('"')

    root = value(next(tokens))
    assert next(tokens, None) is None
    return root


_PROJECT = _parse(_TEXT)
_OBJECTS = _PROJECT["objects"]


def _words(value):
    if isinstance(value, dict):
        return [w for v in value.values() for w in _words(v)]
    if isinstance(value, list):
        return [w for v in value for w in _words(v)]
    return [value]


def test_every_reference_resolves_and_every_object_is_used():
    named = {word for word in _words(_PROJECT) if re.fullmatch(r"[0-9A-F]{24}", word)}
    assert named == set(_OBJECTS)


def test_its_files_exist():
    sources = [o["path"] for o in _OBJECTS.values() if o.get("lastKnownFileType")]
    assert sources == ["AgecompactApp.swift"]
    assert all((_APP / "AgecompactApp" / path).is_file() for path in sources)


def test_it_uses_the_package_beside_it():
    (package,) = (o for o in _OBJECTS.values() if o["isa"] == "XCLocalSwiftPackageReference")
    assert (_APP / package["relativePath"]).resolve() == PACKAGE
    (product,) = (o for o in _OBJECTS.values() if o["isa"] == "XCSwiftPackageProductDependency")
    manifest = (PACKAGE / "Package.swift").read_text()
    assert f'.library(name: "{product["productName"]}"' in manifest


def test_it_supports_the_systems_of_the_package():
    settings = [o["buildSettings"] for o in _OBJECTS.values() if "buildSettings" in o]
    targets = {s.get("IPHONEOS_DEPLOYMENT_TARGET") for s in settings} - {None}
    assert targets == {"16.0"}
    assert ".iOS(.v16)" in (PACKAGE / "Package.swift").read_text()
    # The user chooses the team that signs it.
    assert "DEVELOPMENT_TEAM" not in _TEXT


def test_a_missing_brace_is_found():
    for broken in (_TEXT.rstrip()[:-1], _TEXT.replace(");", "", 1)):
        try:
            _parse(broken)
        except (AssertionError, StopIteration, RuntimeError):
            continue
        raise AssertionError("it was read")
