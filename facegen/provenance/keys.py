"""The signing key of this installation, created on first use and readable for its owner only; and the operator's own, if there is one."""

import base64
import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facegen.config import home
from facegen.errors import InputError, ResourceError

ORGANISATION = "facegen"
"""Organisation in the certificates; by it a file says that facegen signed it."""
OWN_NAME = "facegen installation"
"""How the common names begin in certificates that facegen makes."""
_BEGIN, _END = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"


@dataclass(frozen=True, kw_only=True)
class MarkKey:
    """What one installation's mark carries."""

    installation_id: int
    """0 to 2**24 - 1."""
    secret: bytes
    """From this the phases follow that nobody else can write."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """What signs manifests."""

    private_pem: str
    """The private key."""
    chain_pem: str
    """Its certificate first, then those that vouch for it up to the root."""
    algorithm: str
    """Name of its signatures in C2PA."""
    serial_number: str
    """Of its certificate, in decimal."""

    @property
    def root_pem(self) -> str:
        """The last certificate: the anchor against which its signatures verify."""
        return _BEGIN + self.chain_pem.split(_BEGIN)[-1]


@dataclass(frozen=True, kw_only=True)
class InstallationKey:
    """A private key and its certificates."""

    private_pem: str
    """The leaf's private key, PKCS #8."""
    chain_pem: str
    """The leaf certificate followed by the root."""
    root_pem: str
    """The root certificate alone: the anchor against which this installation's files verify."""

    @property
    def serial_number(self) -> str:
        """Of the leaf certificate, in decimal."""
        from facegen.provenance.certificates import describe_key

        return describe_key(self.private_pem, self.chain_pem)[1]

    @property
    def installation_id(self) -> int:
        """24 bits of the root certificate's SHA-256, the payload of the watermark."""
        content = base64.b64decode(self.root_pem.removeprefix(_BEGIN).partition(_END)[0])
        return int.from_bytes(hashlib.sha256(content).digest()[:3], "big")

    @property
    def mark_key(self) -> MarkKey:
        """What the watermark carries: the id, and a secret that follows from the private key."""
        secret = hashlib.sha256(b"facegen watermark" + self.private_pem.encode()).digest()
        return MarkKey(installation_id=self.installation_id, secret=secret)


def key_path() -> Path:
    """Path of this installation's key, which need not exist yet."""
    return home() / "keys" / "installation.pem"


def read_key() -> InstallationKey | None:
    """This installation's key, or None where nothing has been signed yet.

    Raises:
        InputError: the key file is there and is not a key file.
    """
    path = key_path()
    try:
        text = path.read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected facegen's signing key in {path}, but it cannot be read; move it away.") from error
    end = "-----END PRIVATE KEY-----\n"
    private, known, chain = text.partition(end)
    certificates = chain.split(_BEGIN)
    if not known or len(certificates) != 3 or not chain.endswith(_END):
        raise InputError(f"Expected a private key and two certificates in {path}; move the file away to make new ones.")
    return InstallationKey(private_pem=private + end, chain_pem=chain, root_pem=_BEGIN + certificates[2])


def operator_path() -> Path:
    """Path of the key that an operator may bring: a private key, its certificate, and those up to the root, as PEM."""
    return home() / "keys" / "operator.pem"


def read_operator_key() -> SigningKey | None:
    """The operator's key, or None where there is none.

    Raises:
        InputError: it cannot be read, or is no key with its certificates, or of a kind that C2PA does not sign with.
    """
    path = operator_path()
    if not path.exists():
        return None
    # imported for those alone who bring a key
    from facegen.provenance.certificates import describe_key

    try:
        text = path.read_text(encoding="ascii")
        at = text.index(_BEGIN)
        algorithm, serial_number = describe_key(text[:at], text[at:])
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a private key and its certificates in {path}, found something else ({error}); put the key first, its "
            "certificate next, and those that vouch for it last."
        ) from error
    return SigningKey(private_pem=text[:at], chain_pem=text[at:], algorithm=algorithm, serial_number=serial_number)


def get_installation_key() -> InstallationKey:
    """This installation's key, created if there is none.

    Raises:
        InputError: the key file is damaged.
        ResourceError: the key cannot be written.
    """
    known = read_key()
    if known is not None:
        return known
    # the library that creates keys is only imported for the first use
    from facegen.provenance.certificates import create_key

    _write_once(key_path(), create_key(ORGANISATION))
    made = read_key()
    if made is None:
        raise ResourceError(f"Wrote a signing key to {key_path()} and it is gone again; check the folder.")
    return made


def _write_once(path: Path, text: str) -> None:
    """Writes the key atomically, readable for its owner only, unless another process was faster."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        # which the owner alone may read
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".installation.", suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # a link, unlike a rename, fails if the file exists: of two concurrent first uses, one key remains
        with suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise ResourceError(
            f"Cannot keep the signing key in {path.parent}: {error.strerror}; set FACEGEN_HOME to a writable folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
