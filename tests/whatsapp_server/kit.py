"""What leads the real client to this server: an authority, a host's certificate, and a copy of
neonize in which the root key that WhatsApp signs its own keys with is another one.

A kit is a folder, made once, and the same for all servers that are given it.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.x509.oid import NameOID

PINNED = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""The public key in the library; it is there exactly once."""
HOSTS = ("web.whatsapp.com", "*.whatsapp.com", "*.whatsapp.net", "*.cdn.whatsapp.net")
DAYS = datetime.timedelta(days=2)


def make(kit: Path) -> None:
    """Makes a kit, unless it is there. Who comes second uses what the first has made."""
    if kit.exists():
        return
    kit.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kit.parent, prefix=".kit-") as place:
        made = Path(place) / "kit"
        made.mkdir()
        root = x25519.X25519PrivateKey.generate()
        (made / "root.key").write_bytes(root.private_bytes_raw())
        _certificates(made)
        copy_library(made / "site" / "neonize", root.public_key().public_bytes_raw())
        with contextlib.suppress(OSError):  # another one was quicker
            made.rename(kit)


def copy_library(target: Path, root: bytes) -> None:
    """A copy of neonize that trusts this root key. Raises ValueError if the key isn't in it."""
    found = importlib.util.find_spec("neonize")
    if found is None or not found.submodule_search_locations:
        raise ValueError("neonize isn't installed")
    source = Path(next(iter(found.submodule_search_locations)))
    shutil.copytree(source, target, copy_function=_link, ignore=shutil.ignore_patterns("*.so"))
    for library in source.glob("*.so"):
        content = library.read_bytes()
        if content.count(PINNED) != 1:
            raise ValueError(f"{library.name} has the pinned key {content.count(PINNED)} times")
        (target / library.name).write_bytes(content.replace(PINNED, root))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _certificates(kit: Path) -> None:
    """`authority.pem`, which a client trusts; `host.pem` and `host.key`, which we show."""
    above, host = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])])
    names = x509.SubjectAlternativeName([x509.DNSName(one) for one in HOSTS])
    top = _certificate(authority, authority, above).add_extension(
        x509.BasicConstraints(True, None), True
    )
    low = _certificate(name, authority, host).add_extension(names, False)
    for file, made in (("authority.pem", top), ("host.pem", low)):
        signed = made.sign(above, hashes.SHA256())
        (kit / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (kit / "host.key").write_bytes(
        host.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAYS)
        .not_valid_after(now + DAYS)
    )
