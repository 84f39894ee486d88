"""The key with which this installation signs: made on first use, kept readable for its owner alone.

A root certificate made for this installation signs one leaf certificate, and the leaf signs the files. The root's
private key is thrown away at once, so nothing else can ever be issued under it. The certificates follow the C2PA
profile: X.509 v3, ES256, a leaf that is no CA, with the digitalSignature usage and an accepted extended key usage.
"""

import datetime
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facegen.config import home
from facegen.errors import InputError, ResourceError

ORGANISATION = "facegen"
_LIFETIME = datetime.timedelta(days=25 * 365)
_BACKDATED = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class InstallationKey:
    """What signs, and what says who signed."""

    private_pem: str
    """The leaf's private key, PKCS #8."""
    chain_pem: str
    """The leaf certificate followed by the root."""
    root_pem: str
    """The root certificate alone: the anchor against which this installation's files verify."""

    @property
    def installation_id(self) -> int:
        """24 bits of the root certificate's SHA-256; the watermark carries them."""
        digest = x509.load_pem_x509_certificate(self.root_pem.encode()).fingerprint(hashes.SHA256())
        return int.from_bytes(digest[:3], "big")


def key_path() -> Path:
    """Where this installation's key lives; it need not exist yet."""
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
    private, found, chain = text.partition(end)
    certificates = chain.split("-----BEGIN CERTIFICATE-----\n")
    if not found or len(certificates) != 3:
        raise InputError(f"Expected a private key and two certificates in {path}; move the file away to make new ones.")
    root = "-----BEGIN CERTIFICATE-----\n" + certificates[2]
    return InstallationKey(private_pem=private + end, chain_pem=chain, root_pem=root)


def installation_key() -> InstallationKey:
    """This installation's key, made now if there is none.

    Raises:
        InputError: the key file is damaged.
        ResourceError: the key cannot be written.
    """
    found = read_key()
    if found is not None:
        return found
    _write_once(key_path(), _make())
    made = read_key()
    if made is None:
        raise ResourceError(f"Wrote a signing key to {key_path()} and it is gone again; check the folder.")
    return made


def _write_once(path: Path, text: str) -> None:
    """Write the key unless another process was faster, never showing a half-written or a readable-by-others file."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".installation.", suffix=".part")
        temporary = Path(name)
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails where the name is taken: of two first uses at once, one key remains.
        with suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise ResourceError(
            f"Cannot keep the signing key in {path.parent}: {error.strerror}; set FACEGEN_HOME to a writable folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _make() -> str:
    """A fresh leaf key, its certificate and the root certificate, as PEM."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("facegen installation root", "facegen installation root", root_key.public_key(), root_key)
    mark = root.fingerprint(hashes.SHA256())[:3].hex()
    leaf = _certificate(f"facegen installation {mark}", "facegen installation root", leaf_key.public_key(), root_key)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return (private + leaf.public_bytes(pem) + root.public_bytes(pem)).decode("ascii")


def _certificate(
    subject: str, issuer: str, public_key: ec.EllipticCurvePublicKey, root_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """One certificate signed by the root: the root itself where subject and issuer are the same, else the leaf."""
    is_root = subject == issuer
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(root_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
