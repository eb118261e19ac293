"""Signs builds by OpenSSF Model Signing, without a network.

A signature covers every file of a model's folder, but itself. It is a Sigstore bundle, which other
tools of Model Signing verify as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.errors import UsageError, first_line
from agecompact.files import write_text
from agecompact.imports import import_extra
from agecompact.scratch import scratch_folder

# In a model's folder.
SIGNATURE = "model.sig"
_EXTRA = "sign"
_KEYS = (
    "make a pair of keys: openssl ecparam -name prime256v1 -genkey -noout -out private.pem\n"
    "openssl ec -in private.pem -pubout -out public.pem"
)


@dataclass(frozen=True)
class Signer:
    """Who signs.

    Attributes:
        key: Private key of an elliptic curve, PEM.
        certificate: Its certificate, PEM; None to sign with the key alone.
        chain: The certificates from that to the root, PEM.
    """

    key: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Trusted:
    """Whose signature is accepted: that of a key, or those of certificates of a root.

    Attributes:
        key: Public key, PEM; None for `roots`.
        roots: Certificates of roots, PEM.
    """

    key: Path | None
    roots: tuple[Path, ...] = ()


def sign(folder: Path, signer: Signer) -> Path:
    """Signs a model's folder, as it is now.

    Args:
        folder: The folder of a build.
        signer: Who signs.

    Returns:
        The signature's path.

    Raises:
        UsageError: A key or certificate cannot be used, or the folder holds a link.
        BackendMissingError: The extra `sign` is not installed.
    """
    signing = import_extra("model_signing.signing", _EXTRA)
    path = folder / SIGNATURE
    try:
        config = signing.Config().set_hashing_config(_hashing(folder))
        if signer.certificate is None:
            config.use_elliptic_key_signer(private_key=signer.key)
        else:
            config.use_certificate_signer(
                private_key=signer.key,
                signing_certificate=signer.certificate,
                certificate_chain=list(signer.chain),
            )
        # Elsewhere first: the signature would cover a file that is being written beside it.
        with scratch_folder() as scratch:
            config.sign(folder, scratch / SIGNATURE)
            write_text(path, (scratch / SIGNATURE).read_text(encoding="utf-8"))
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(f"cannot sign {folder}", why=first_line(error), fix=_KEYS) from None
    return path


def fault(folder: Path, trusted: Trusted) -> str:
    """What is wrong with the signature of a model's folder; empty if nothing is.

    Raises:
        UsageError: The key or a certificate cannot be used.
        BackendMissingError: The extra `sign` is not installed.
    """
    verifying = import_extra("model_signing.verifying", _EXTRA)
    path = folder / SIGNATURE
    config = verifying.Config().set_hashing_config(_hashing(folder))
    try:
        if trusted.key is not None:
            config.use_elliptic_key_verifier(public_key=trusted.key)
        else:
            config.use_certificate_verifier(certificate_chain=list(trusted.roots))
    except (ValueError, TypeError, OSError) as error:
        raise UsageError("cannot read the key", why=first_line(error), fix=_KEYS) from None
    if not path.is_file():
        return f"{folder} is not signed: it has no {SIGNATURE}"
    try:
        config.verify(folder, path)
    except Exception as error:  # Of the library, of cryptography, or of a parser of the bundle.
        return f"{folder}: {first_line(error) or type(error).__name__}"
    return ""


def _hashing(folder: Path) -> Any:
    """Every file counts but the signature, those of Git too; a link is refused."""
    hashing = import_extra("model_signing.hashing", _EXTRA)
    ignored: Sequence[Path] = [folder / SIGNATURE]
    return hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)
