"""A signed build: a changed byte, an added and a removed file are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agecompact.artifacts.manifest import Build
from export.command import sign, verify
from export.signing import SIGNATURE
from tests.support import CopyBuild

pytest.importorskip("model_signing")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")


def run(verb: object, *arguments: object) -> Result:
    return CliRunner().invoke(verb, [str(each) for each in arguments])  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public key."""
    return pair(tmp_path, "mine")


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization as s

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def signed(copy_build: CopyBuild, keys: tuple[Path, Path]) -> Build:
    build = copy_build("c3ae-plain")
    done = run(sign, build.folder, "--key", keys[0])
    assert done.exit_code == 0, done.exception
    return build


def test_an_intact_build_is_accepted(signed: Build, keys: tuple[Path, Path]) -> None:
    done = run(verify, signed.folder, "--key", keys[1])
    assert done.exit_code == 0, done.exception
    assert "all intact and signed" in done.output


def test_signing_again_replaces_the_signature(signed: Build, keys: tuple[Path, Path]) -> None:
    assert run(sign, signed.folder, "--key", keys[0]).exit_code == 0
    assert run(verify, signed.folder, "--key", keys[1]).exit_code == 0


def _change(folder: Path) -> None:
    path = next(folder.glob("*.onnx"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _change_inside(folder: Path) -> None:
    path = next(p for p in sorted(folder.glob("*.mlpackage/**/*")) if p.is_file())
    path.write_bytes(path.read_bytes() + b" ")


def _consistently(folder: Path) -> None:
    """The file and the hash of it in the manifest, as who replaces a model would."""
    import hashlib

    _change(folder)
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for entry in content["artifacts"]:
        if entry["file"].endswith(".onnx"):
            entry["sha256"] = hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest()
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "tamper",
    [
        _change,
        _change_inside,
        _consistently,
        lambda folder: (folder / ".gitignore").write_text("x"),
        lambda folder: (folder / "parity.json").write_text("{}"),
        lambda folder: next(folder.glob("*.onnx")).unlink(),
        lambda folder: (folder / SIGNATURE).unlink(),
        lambda folder: (folder / SIGNATURE).write_text("{}"),
    ],
    ids=["byte", "package", "consistent", "hidden", "added", "removed", "unsigned", "signature"],
)
def test_what_was_changed_since_is_refused(
    tamper: Callable[[Path], object], signed: Build, keys: tuple[Path, Path]
) -> None:
    tamper(signed.folder)
    done = run(verify, signed.folder, "--key", keys[1])
    assert done.exit_code == 1 or "not intact" in str(done.exception)
    assert str(signed.folder) in str(done.exception)


def test_the_signature_of_another_key_is_refused(signed: Build, tmp_path: Path) -> None:
    _, public = pair(tmp_path, "theirs")
    assert "not intact" in str(run(verify, signed.folder, "--key", public).exception)


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAA\n"])
def test_what_is_no_key_is_a_clear_error(content: str, signed: Build, tmp_path: Path) -> None:
    path = tmp_path / "broken.pem"
    path.write_text(content)
    for verb in (sign, verify):
        error = run(verb, signed.folder, "--key", path).exception
        assert "key" in str(error)
        assert "openssl" in str(error)
    before = (signed.folder / SIGNATURE).read_bytes()
    assert (signed.folder / SIGNATURE).read_bytes() == before
