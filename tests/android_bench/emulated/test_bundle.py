"""How the bundle is made, kept and refused; no network and no emulator."""

import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agecompact.errors import BackendMissingError, OutputError
from android_bench.emulated import building, bundle, cpus, debian, emulator, stored

PINS = tomllib.loads(stored.PINS.read_text())


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The only programs that there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "mkdir", "touch"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write_bundle(folder: Path) -> None:
    (folder / stored.GUEST).mkdir(parents=True)
    (folder / stored.QEMU).mkdir()
    for name in (f"{stored.GUEST}/runner", f"{stored.QEMU}/qemu-aarch64", stored.PLUGIN):
        (folder / name).write_text(name)
    stored.write_index(folder, litert="2.3.0", compiler="gcc 12")


def test_every_pin_is_a_hash():
    pins = [*PINS["package"], PINS["wheel"]]
    assert all(re.fullmatch("[0-9a-f]{64}", pin["sha256"]) for pin in pins)
    assert len({pin["sha256"] for pin in pins}) == len(pins) == 4


def test_a_file_of_another_hash_is_refused(tmp_path):
    path = tmp_path / "libc6.deb"
    path.write_bytes(b"something else")
    with pytest.raises(BackendMissingError, match=r"libc6\.deb is not the file") as refused:
        building.check_hash(path, PINS["package"][0]["sha256"])
    assert "sha256" in refused.value.why


def test_a_package_of_another_hash_ends_the_fetch(programs, tmp_path):
    script = (
        'for p in "$@"; do case $p in *=*_*|APT*) ;; *=*) touch "${p%%=*}_1_all.deb";; esac; done'
    )
    fake(programs, "apt-get", script)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(BackendMissingError, match="libc6-arm64-cross_1_all"):
        building.fetch_guest(tmp_path / "guest", scratch, PINS)
    assert not list((tmp_path / "guest").iterdir())


@pytest.mark.usefixtures("programs")
def test_without_apt_the_error_says_what_does_it(tmp_path):
    with pytest.raises(BackendMissingError, match="no apt-get here") as missing:
        debian.Apt(tmp_path).download(["libc6-arm64-cross"])
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
    (file,) = debian.Apt(tmp_path).download(["qemu-user"])
    assert file.name == "qemu-user_7_amd64.deb"
    kinds = ["update" if "update" in line else "download" for line in log.read_text().splitlines()]
    assert kinds == ["download", "update", "download"]


def test_a_package_that_nobody_has_is_named(programs, tmp_path):
    fake(programs, "apt-get", "echo 'E: Unable to locate package nope' >&2; exit 100")
    with pytest.raises(BackendMissingError, match="apt-get failed") as missing:
        debian.Apt(tmp_path).download(["nope"])
    assert "Unable to locate package nope" in missing.value.why


def test_only_what_is_not_installed_is_needed(programs, tmp_path):
    fake(
        programs,
        "apt-cache",
        "cat <<E\nqemu-user\n  Depends: libc6\nlibc6\n<virtual>\nliburing2\nE",
    )
    fake(programs, "dpkg-query", "echo 'installed libc6'; echo 'config-files liburing2'")
    assert debian.Apt(tmp_path).needed(["qemu-user"]) == ("liburing2", "qemu-user")


def test_where_there_is_nothing_the_command_that_makes_it_is_told(tmp_path):
    with pytest.raises(BackendMissingError) as missing:
        stored.load(tmp_path)
    assert missing.value.fix == "make arm-bundle"
    assert missing.value.exit_code == 3


def test_a_bundle_that_is_there_is_used(monkeypatch, tmp_path):
    write_bundle(stored.place(tmp_path))
    monkeypatch.setattr(building, "build", pytest.fail)
    assert bundle.ensure(tmp_path).index.litert == "2.3.0"


@pytest.mark.parametrize(
    "name", [f"{stored.GUEST}/runner", f"{stored.QEMU}/qemu-aarch64", stored.PLUGIN, stored.INDEX]
)
def test_a_bundle_that_was_harmed_is_refused(tmp_path, name):
    folder = stored.place(tmp_path)
    write_bundle(folder)
    path = folder / name
    if "qemu" in name:
        path.unlink()
    else:
        path.write_text(path.read_text() + "!")
    with pytest.raises(BackendMissingError, match="is damaged") as refused:
        stored.load(tmp_path)
    assert refused.value.fix == f"rm -r {folder} && make arm-bundle"


@pytest.mark.parametrize("end", [KeyboardInterrupt, BackendMissingError("no network")])
def test_what_is_interrupted_leaves_nothing(monkeypatch, tmp_path, end):
    def build(into, *_):
        write_bundle(into)
        raise end

    monkeypatch.setattr(building, "build", build)
    with pytest.raises((KeyboardInterrupt, BackendMissingError)):
        bundle.ensure(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_emulator_that_does_not_run_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(building, "build", lambda into, *_: write_bundle(into))

    def prove(_, cpu):
        assert cpu.name == "cortex-a76"
        raise BackendMissingError("takes no plugins")

    monkeypatch.setattr(emulator, "prove", prove)
    with pytest.raises(BackendMissingError):
        bundle.ensure(tmp_path)
    assert not stored.place(tmp_path).exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as refused:
        bundle.ensure(tmp_path / "file")
    assert "XDG_CACHE_HOME" in refused.value.fix


def test_the_command_says_what_is_missing_and_exits_3(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "android_bench.emulated.bundle"],
        env={"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "error: no apt-get here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_pin_or_source_is_another_bundle(monkeypatch, tmp_path):
    before = stored.place(tmp_path)
    pins = tmp_path / "pins.toml"
    pins.write_text(stored.PINS.read_text() + "\n")
    monkeypatch.setattr(stored, "PINS", pins)
    assert stored.place(tmp_path) != before


@pytest.mark.parametrize(("told", "relative"), [("/some/where", False), ("some/where", True)])
def test_the_cache_is_where_xdg_says(monkeypatch, told, relative):
    monkeypatch.setenv("XDG_CACHE_HOME", told)
    expected = Path.home() / ".cache" if relative else Path(told)
    assert stored.user_cache() == expected / "agecompact"


def test_a_processor_is_told_as_linux_tells_it():
    told = cpus.named("cortex-a76").cpuinfo()
    assert "CPU part\t: 0xd0b\n" in told
    assert "asimddp" in told
    assert "asimddp" not in cpus.named("cortex-a53").cpuinfo()
    assert {f"{cpu.part:03x}" for cpu in cpus.known().values()} == {"d03", "d08", "d0b"}


def test_the_bound_is_of_the_widest_instruction():
    a76, a53 = cpus.named("cortex-a76"), cpus.named("cortex-a53")
    assert a76.bound(17, "float32")[0] == a76.bound(17, "float16")[0] == 5
    assert a76.bound(17, "int8")[0] == 2
    assert a53.bound(17, "int8")[0] == 3
    assert "FMLA 4S" in a76.bound(17, "float32")[1]
    assert a76.bound(17, "int3") is None
