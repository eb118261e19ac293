"""A signed build: a changed byte, an added and a removed file are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agecompact.artifacts.manifest import Build
from export.command import sign, verify
from export.signing import SIGNATURE
from tests.support import CopyBuild

pytest.importorskip("model_signing")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
s = pytest.importorskip("cryptography.hazmat.primitives.serialization")


def run(verb: object, *arguments: object) -> Result:
    return CliRunner().invoke(verb, [str(each) for each in arguments])  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public key."""
    return pair(tmp_path, "mine")


def pair(folder: Path, name: str) -> tuple[Path, Path]:
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


@dataclass(frozen=True)
class Certified:
    """A key whose certificate leads over another one to a root, all PEM files."""

    key: Path
    certificate: Path
    between: Path
    root: Path


def certified(folder: Path) -> Certified:
    folder.mkdir()
    root_key, between_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate("root", root_key, "root", root_key, is_authority=True)
    between = _certificate("between", between_key, "root", root_key, is_authority=True)
    own = _certificate("builds", own_key, "between", between_key, is_authority=False)
    private = folder / "key.pem"
    private.write_bytes(
        own_key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    )
    paths = []
    for name, each in (("own", own), ("between", between), ("root", root)):
        paths.append(folder / f"{name}.pem")
        paths[-1].write_bytes(each.public_bytes(s.Encoding.PEM))
    return Certified(private, *paths)


def _certificate(name: str, key: Any, by: str, by_key: Any, *, is_authority: bool) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, by)
    )
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    made = made.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    usage = {
        each: each == ("key_cert_sign" if is_authority else "digital_signature")
        for each in (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        )
    }
    made = made.add_extension(x509.KeyUsage(**usage), critical=True)
    if not is_authority:
        signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        made = made.add_extension(signing, critical=False)
    return made.sign(by_key, hashes.SHA256())


def test_a_certificate_is_accepted_if_it_leads_to_the_root(
    copy_build: CopyBuild, tmp_path: Path
) -> None:
    mine, theirs = certified(tmp_path / "mine"), certified(tmp_path / "theirs")
    folder = copy_build("c3ae-plain").folder
    signer = ("--key", mine.key, "--certificate", mine.certificate)
    done = run(sign, folder, *signer, "--chain", mine.between, "--chain", mine.root)
    assert done.exit_code == 0, done.exception
    assert run(verify, folder, "--certificate", mine.root).exit_code == 0
    assert "not intact" in str(run(verify, folder, "--certificate", theirs.root).exception)
    _change(folder)
    assert "not intact" in str(run(verify, folder, "--certificate", mine.root).exception)


def test_the_certificate_of_another_key_is_refused(copy_build: CopyBuild, tmp_path: Path) -> None:
    mine, theirs = certified(tmp_path / "mine"), certified(tmp_path / "theirs")
    folder = copy_build("c3ae-plain").folder
    error = run(sign, folder, "--key", mine.key, "--certificate", theirs.certificate).exception
    assert "cannot sign" in str(error)
    assert not (folder / SIGNATURE).exists()


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
