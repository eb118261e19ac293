"""The driver of this Mac, with runners that fail in every way that was seen on GitHub's."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agecompact.artifacts.manifest import Build
from agecompact.bench import size
from agecompact.bench.drivers import Settings
from agecompact.bench.files import measured_files
from agecompact.bench.validity import validated
from agecompact.errors import BackendMissingError, ExitCode, UsageError
from agecompact.files import size_of
from agecompact.formats import COMPUTE_UNITS
from ios_bench import mac, settings, tool
from tests.ios_bench import fake_runner, fixtures


@pytest.fixture
def runner(request, tmp_path, monkeypatch):
    """Makes a runner that behaves in the named way."""
    request.getfixturevalue("on_a_mac")

    def make(mode):
        path = tmp_path / "agecompact-bench"
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {fake_runner.__file__} "{mode}" "$@"\n')
        path.chmod(0o755)
        monkeypatch.setenv(mac.RUNNER_VARIABLE, str(path))

    return make


def test_measures_every_package_on_every_unit(runner, build):
    runner("succeeds")
    reported = []
    records = mac.measure_build(build, Settings(), reported.append)
    assert reported == [entry.file for entry in build.manifest.artifacts]
    assert [(r.artifact.precision, r.runtime.delegate.asked) for r in records] == [
        (precision, unit) for precision in ("float32", "float16") for unit in COMPUTE_UNITS
    ]
    for record in records:
        assert record.failure is None
        assert record.artifact.model == "c3ae"
        assert record.artifact.parameters == 39741


def test_core_ai_models_are_measured_behind_the_packages(runner, build):
    """Where the runner finds no Core AI, each has a record with the reason."""
    (first, second) = build.manifest.artifacts
    model = build.folder / "c3ae_float16.aimodel"
    build.path(second).rename(model)
    entry = replace(second, file=model.name, format="coreai", opset=None)
    both = replace(build, manifest=replace(build.manifest, artifacts=(entry, first)))
    runner("finds no Core ML")
    records = mac.measure_build(both, Settings(place="cpuOnly"))
    assert [(r.artifact.format, r.runtime.name) for r in records] == [
        ("coreml", "coreml"),
        ("coreai", "coreai"),
    ]
    assert "or no Core AI" in records[1].failure
    runner("succeeds")
    (_, measured) = mac.measure_build(both, Settings(place="cpuOnly"))
    assert (measured.failure, measured.artifact.file) == (None, model.name)


def test_the_bytes_of_a_package_are_broken_down_like_those_of_a_file(runner, copy_build):
    runner("succeeds")
    real = copy_build("ssrnet", "float16.mlpackage")
    (record, *_) = mac.measure_build(real, Settings(place="cpuOnly"))
    path = real.folder / "ssrnet_float16.mlpackage"
    parts = record.artifact.size
    assert parts == size.measure(path, "float16", real.manifest.folded_parameters)
    assert parts.weights_bytes + parts.graph_bytes + parts.metadata_bytes == size_of(path)
    # A broken package has a size, but its parts are unknown.
    (path / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff" * 64)
    (broken, *_) = mac.measure_build(real, Settings(place="cpuOnly"))
    assert (broken.artifact.size, broken.artifact.file_bytes) == (None, size_of(path))


def test_a_hang_is_a_record_with_a_reason(runner, build, monkeypatch):
    runner("hangs on all")
    monkeypatch.setattr(mac, "_GRACE_S", 3.0)
    request = replace(settings.of_mac(Settings(place="cpuOnly,all")), timeout_s=1)
    here = mac.this_mac()
    file = measured_files(build)[1]
    good, hung = (here.measure(build, file, unit, request) for unit in request.compute_units)
    assert good.failure is None
    assert hung.failure == "no answer within 1 s"
    assert hung.machine == here.machine
    assert [reason.rule for reason in validated(hung).reasons] == ["not-measured"]


@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        ("aborts", "the runner failed: ended by SIGABRT"),
        ("is cut off", "cannot read latency record"),
        ("writes nothing", "the runner failed: cannot measure it: it does not load"),
        ("writes nothing and succeeds", "no latency record"),
        ("finds no Core ML", "the runner found no Core ML"),
        ("measures another file", "the runner measured another file"),
        ("measures another unit", "the runner measured another compute unit: all, not cpuOnly"),
    ],
)
def test_a_runner_that_fails_is_a_record_with_a_reason(runner, build, mode, failure):
    runner(mode)
    records = mac.measure_build(build, Settings(place="cpuOnly"))
    assert len(records) == 2
    for record in records:
        assert record.failure is not None
        assert failure in record.failure
        assert record.latency is None
        assert record.runtime.delegate.asked == "cpuOnly"


def test_a_record_beyond_its_tolerance_is_kept_for_validation(runner, build):
    runner("is beyond its tolerance")
    records = mac.measure_build(build, Settings(place="cpuOnly"))
    assert all(record.failure is None for record in records)


def test_the_runner_gets_every_argument(build):
    seen = []

    def run(command, timeout_s):
        seen.append((command, timeout_s))
        return tool.Completed(1)

    here = mac.Mac(mac.Path("runner"), fixtures.full_record().machine, run)
    request = settings.Request(runs=70, warmup_runs=3, timeout_s=9)
    here.measure(build, measured_files(build)[1], "cpuAndGPU", request)
    ((command, timeout_s),) = seen
    assert command[1] == str(build.folder / "c3ae_float32.mlpackage")
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options.pop("--out").endswith("record.json")
    assert options == {
        "--compute-unit": "cpuAndGPU",
        "--runs": "70",
        "--warmup": "3",
        "--timeout": "9",
        "--golden": str(build.folder / "golden"),
    }
    assert timeout_s > 9


@pytest.fixture
def swift(request, monkeypatch):
    """Makes `swift` the only way to get a runner."""
    request.getfixturevalue("on_a_mac")
    monkeypatch.delenv(mac.RUNNER_VARIABLE, raising=False)
    monkeypatch.setattr(mac, "shutil", SimpleNamespace(which=lambda _: "/usr/bin/swift"))


@pytest.mark.usefixtures("swift")
def test_a_mac_without_swift_is_refused(build, monkeypatch):
    monkeypatch.setattr(mac, "shutil", SimpleNamespace(which=lambda _: None))
    with pytest.raises(BackendMissingError, match="cannot be built") as caught:
        mac.measure_build(build, Settings())
    assert caught.value.fix == "xcode-select --install"


@pytest.mark.usefixtures("swift")
def test_a_runner_that_does_not_build_is_reported():
    with pytest.raises(BackendMissingError, match="does not build") as caught:
        mac.this_mac(lambda *_: tool.Completed(1, stderr="error: no such module 'CoreML'\n"))
    assert "no such module" in caught.value.why


def test_what_would_measure_is_known_without_building_it(runner, monkeypatch, tmp_path):
    runner("succeeds")
    assert mac.available("cpuOnly") == f"the runner at {tmp_path / 'agecompact-bench'}"
    monkeypatch.delenv(mac.RUNNER_VARIABLE)
    monkeypatch.setattr(mac, "shutil", SimpleNamespace(which=lambda _: "/usr/bin/swift"))
    assert mac.available(None) == "Swift at /usr/bin/swift"
    monkeypatch.setattr(mac, "shutil", SimpleNamespace(which=lambda _: None))
    with pytest.raises(BackendMissingError, match="cannot be built"):
        mac.available(None)


@pytest.mark.usefixtures("swift")
def test_a_built_runner_is_found():
    def run(command, _):
        if "--show-bin-path" in command:
            return tool.Completed(0, "/place/release\n")
        if command[0] == "swift":
            return tool.Completed(0)
        assert command == ["/place/release/agecompact-bench", "--machine"]
        return tool.Completed(0, '{"cpu": "Apple M2", "os": "macOS 15.5.0", "cores": 8}')

    here = mac.this_mac(run)
    assert here.machine.cpu == "Apple M2"


@pytest.mark.parametrize("description", ["", "{", '{"cpu": 1}'])
@pytest.mark.usefixtures("on_a_mac")
def test_a_runner_that_does_not_describe_the_machine_is_refused(tmp_path, monkeypatch, description):
    path = tmp_path / "agecompact-bench"
    path.touch()
    monkeypatch.setenv(mac.RUNNER_VARIABLE, str(path))
    with pytest.raises(BackendMissingError, match="does not run here"):
        mac.this_mac(lambda *_: tool.Completed(0, description))
    # The empty file is not a program.
    with pytest.raises(BackendMissingError, match="does not run here"):
        mac.this_mac()


@pytest.mark.usefixtures("on_a_mac")
def test_a_named_runner_that_is_missing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv(mac.RUNNER_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(BackendMissingError, match="no runner"):
        mac.this_mac()


def test_an_unknown_unit_suggests_the_nearest(build):
    with pytest.raises(UsageError, match="compute unit 'cpuonly'") as caught:
        mac.measure_build(build, Settings(place="cpuonly"))
    assert "cpuOnly" in caught.value.fix


def test_a_build_without_packages_is_refused(build):
    bare = Build(build.folder, replace(build.manifest, artifacts=()))
    with pytest.raises(UsageError, match="no Core ML package"):
        mac.measure_build(bare, Settings())


@pytest.mark.skipif(sys.platform == "darwin", reason="this is a Mac")
@pytest.mark.parametrize("where", ["mac", "mac:cpuOnly", "ios", "ios:Bench phone/cpuOnly"])
def test_the_command_refuses_other_systems(agecompact, build, where):
    run = agecompact("bench", build.folder, "--on", where)
    assert run.returncode == ExitCode.ENVIRONMENT
    assert "nothing can be measured here" in run.stderr
    assert "Mac" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (build.folder / "latency.json").exists()
