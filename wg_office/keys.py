"""Keys, derived and named. Pure: from one generated secret per peer follow its private and preshared key.

Room: the core. Nothing here prints or stores anything.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_LENGTH = 43
"""Characters of letters and digits that a peer's secret has: 43 carry 256 bits."""

GENERATED_ON_APPLY = "(generated on apply)"
"""Stands in previews and renderings for what a key will be, or be called."""

_SALT = b"wg-office"


@dataclass(frozen=True)
class PublicNames:
    """What may be shown of a peer's keys.

    `private_name` and `preshared_name` name the root-only key files on hosts. A renewed key has a new name, which is how a rotation
    shows in a preview. `private_name` is empty for a developer who keeps the private key to themselves.
    """

    public_key: str
    private_name: str
    preshared_name: str


def private_key(secret: str) -> str:
    """The X25519 private key that belongs to a peer's secret, clamped, in base64."""
    raw = bytearray(_derive(secret, "private key", 32))
    raw[0] &= 0b11111000
    raw[31] = (raw[31] & 0b01111111) | 0b01000000
    return base64.b64encode(raw).decode()


def preshared_key(secret: str) -> str:
    """The preshared key between the hub and the peer that the secret belongs to, in base64."""
    return base64.b64encode(_derive(secret, "preshared key", 32)).decode()


def deployment_id(secret: str) -> str:
    """Names the Pulumi state that owns a host: 16 hex digits, public."""
    return _derive(secret, "deployment id", 8).hex()


def attempt_id(secret: str) -> str:
    """Names one attempt to change a host: 8 hex digits, public."""
    return _derive(secret, "attempt id", 4).hex()


def public_key(private: str) -> str:
    """The public key of a private key, both in base64. Raises ValueError where it is no key."""
    raw = base64.b64decode(private, validate=True)
    return base64.b64encode(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()).decode()


def key_name(kind: str, key: str) -> str:
    """The file name of a private or preshared key: its kind and 64 bits of a hash, from which nobody finds 256 random bits."""
    return f"{kind}-{hashlib.sha256(f'wg-office {kind} {key}'.encode()).hexdigest()[:16]}"


def names(secret: str, private: str | None, public: str | None = None) -> PublicNames:
    """What may be shown of a peer with this secret and private key, or of one who brought only a public key."""
    if private is not None:
        public = public_key(private)
    if public is None:
        raise ValueError("a peer has a private key or brings a public key")
    return PublicNames(
        public_key=public,
        private_name=key_name("private", private) if private is not None else "",
        preshared_name=key_name("preshared", preshared_key(secret)),
    )


def _derive(secret: str, purpose: str, length: int) -> bytes:
    info = f"wg-office v1 {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=_SALT, info=info).derive(secret.encode())
