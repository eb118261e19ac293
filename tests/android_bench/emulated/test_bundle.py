"""Making, keeping and checking the bundle, without network and emulator."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agecompact.errors import BackendMissingError, OutputError
from agecompact.files import user_cache
from agecompact.precisions import PRECISIONS
from android_bench.emulated import bundle, cpus, debian, emulator, make_bundle, pins

PINS = pins.read()


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "mkdir", "touch"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write_bundle(folder: Path) -> None:
    (folder / bundle.GUEST).mkdir(parents=True)
    (folder / bundle.QEMU).mkdir()
    for name in (f"{bundle.GUEST}/runner", f"{bundle.QEMU}/qemu-aarch64", bundle.PLUGIN):
        (folder / name).write_text(name)
    bundle.write_index(folder, litert="2.3.0", compiler="gcc 12")


def test_every_pin_is_a_hash():
    hashes = [pin.sha256 for pin in (*PINS.package, PINS.wheel)]
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes)
    assert len(set(hashes)) == len(hashes) == 4


def test_a_file_of_another_hash_is_refused(tmp_path):
    path = tmp_path / "libc6.deb"
    path.write_bytes(b"something else")
    with pytest.raises(BackendMissingError, match=r"libc6\.deb is not the pinned file") as refused:
        pins.check_hash(path, PINS.package[0].sha256)
    assert "sha256" in refused.value.why


def test_a_package_of_another_hash_stops_the_fetch(programs, tmp_path):
    script = (
        'for p in "$@"; do case $p in *=*_*|APT*) ;; *=*) touch "${p%%=*}_1_all.deb";; esac; done'
    )
    fake(programs, "apt-get", script)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(BackendMissingError, match="libc6-arm64-cross_1_all"):
        make_bundle.fetch_guest(tmp_path / "guest", scratch, PINS)
    assert not list((tmp_path / "guest").iterdir())


@pytest.mark.usefixtures("programs")
def test_without_apt_the_fix_is_debian(tmp_path):
    with pytest.raises(BackendMissingError, match="apt-get is missing") as missing:
        debian.Apt(tmp_path).download(["libc6-arm64-cross"], tmp_path / "packages")
    assert "Debian 12" in missing.value.fix


def test_a_container_without_package_lists_gets_lists_of_its_own(programs, tmp_path):
    log = tmp_path / "log"
    fake(
        programs,
        "apt-get",
        f"""echo "$@" >> {log}
        case "$*" in
          *update*) exit 0;;
          *Dir::State=*) touch qemu-user_7_amd64.deb;;
          *) echo 'E: Unable to locate package' >&2; exit 100;;
        esac""",
    )
    (file,) = debian.Apt(tmp_path).download(["qemu-user"], tmp_path / "packages")
    assert file.name == "qemu-user_7_amd64.deb"
    kinds = ["update" if "update" in line else "download" for line in log.read_text().splitlines()]
    assert kinds == ["download", "update", "download"]


def test_an_unknown_package_is_named(programs, tmp_path):
    fake(programs, "apt-get", "echo 'E: Unable to locate package nope' >&2; exit 100")
    with pytest.raises(BackendMissingError, match="apt-get failed") as missing:
        debian.Apt(tmp_path).download(["nope"], tmp_path / "packages")
    assert "Unable to locate package nope" in missing.value.why


def test_only_what_is_not_installed_is_missing(programs, tmp_path):
    fake(
        programs,
        "apt-cache",
        "cat <<E\nqemu-user\n  Depends: libc6\nlibc6\n<virtual>\nliburing2\nE",
    )
    fake(programs, "dpkg-query", "echo 'installed libc6'; echo 'config-files liburing2'")
    assert debian.Apt(tmp_path).missing(["qemu-user"]) == ("liburing2", "qemu-user")


def test_without_a_bundle_the_fix_makes_one(tmp_path):
    with pytest.raises(BackendMissingError) as missing:
        bundle.load(tmp_path)
    assert missing.value.fix == "python -m android_bench.emulated.make_bundle"
    assert missing.value.exit_code == 3


def test_an_existing_bundle_is_used(monkeypatch, tmp_path):
    write_bundle(bundle.bundle_folder(tmp_path))
    monkeypatch.setattr(make_bundle, "build", pytest.fail)
    assert make_bundle.ensure(tmp_path).index.litert == "2.3.0"


@pytest.mark.parametrize(
    "name", [f"{bundle.GUEST}/runner", f"{bundle.QEMU}/qemu-aarch64", bundle.PLUGIN, bundle.INDEX]
)
def test_a_damaged_bundle_is_refused(tmp_path, name):
    folder = bundle.bundle_folder(tmp_path)
    write_bundle(folder)
    path = folder / name
    if "qemu" in name:
        path.unlink()
    else:
        path.write_text(path.read_text() + "!")
    with pytest.raises(BackendMissingError, match="is damaged") as refused:
        bundle.load(tmp_path)
    assert refused.value.fix == f"rm -r {folder} && {bundle._MAKE}"


@pytest.mark.parametrize("end", [KeyboardInterrupt, BackendMissingError("no network")])
def test_an_interrupted_build_leaves_nothing(monkeypatch, tmp_path, end):
    def build(into, *_):
        write_bundle(into)
        raise end

    monkeypatch.setattr(make_bundle, "build", build)
    with pytest.raises((KeyboardInterrupt, BackendMissingError)):
        make_bundle.ensure(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_bundle_that_does_not_run_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(make_bundle, "build", lambda into, *_: write_bundle(into))

    def check(_, cpu):
        assert cpu.name == "cortex-a76"
        raise BackendMissingError("takes no plugins")

    monkeypatch.setattr(emulator, "check", check)
    with pytest.raises(BackendMissingError):
        make_bundle.ensure(tmp_path)
    assert not bundle.bundle_folder(tmp_path).exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as refused:
        make_bundle.ensure(tmp_path / "file")
    assert "XDG_CACHE_HOME" in refused.value.fix


def test_the_command_reports_what_is_missing_and_exits_3(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "android_bench.emulated.make_bundle"],
        env={"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "error: apt-get is missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_pin_needs_another_bundle(monkeypatch, tmp_path):
    before = bundle.bundle_folder(tmp_path)
    changed = tmp_path / "pins.toml"
    changed.write_text(pins.FILE.read_text() + "\n")
    monkeypatch.setattr(pins, "FILE", changed)
    assert bundle.bundle_folder(tmp_path) != before


@pytest.mark.parametrize(("path", "relative"), [("/some/where", False), ("some/where", True)])
def test_the_cache_is_where_xdg_says(monkeypatch, path, relative):
    monkeypatch.setenv("XDG_CACHE_HOME", path)
    expected = Path.home() / ".cache" if relative else Path(path)
    assert user_cache() == expected / "agecompact"


def test_a_processor_is_described_as_linux_does():
    cpuinfo = cpus.named("cortex-a76").cpuinfo()
    assert "CPU part\t: 0xd0b\n" in cpuinfo
    assert "asimddp" in cpuinfo
    assert "asimddp" not in cpus.named("cortex-a53").cpuinfo()
    assert {f"{cpu.part:03x}" for cpu in cpus.known().values()} == {"d03", "d08", "d0b"}


def test_the_bound_assumes_the_widest_instruction():
    a76, a53 = cpus.named("cortex-a76"), cpus.named("cortex-a53")
    for precision in ("float32", "float16"):
        assert a76.bound(17, PRECISIONS[precision].arithmetic)[0] == 5
    assert a76.bound(17, "int8")[0] == 2
    assert a53.bound(17, "int8")[0] == 3
    assert "FMLA 4S" in a76.bound(17, "float32")[1]
    assert a76.bound(17, "int3") is None
