"""Keys and time stamps that an operator brings."""

import datetime
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facegen.errors import InputError
from facegen.media import write_picture
from facegen.media.apart import decode_apart
from facegen.provenance import Claims, read_credentials, sign, verify, write_signed
from facegen.provenance.keys import operator_path
from facegen.provenance.report import describe
from facegen.provenance.signing import TIMESTAMP_URL

CLAIMS = Claims(job="generate", engine="nvae")
PEM = serialization.Encoding.PEM
TSA = """
[ tsa ]
default_tsa = here
[ here ]
serial = serial
signer_cert = tsa.pem
certs = root.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


def issue(
    key: CertificateIssuerPrivateKeyTypes,
    name: str,
    issuer: "tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate] | None" = None,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> x509.Certificate:
    """A certificate for a key: a root where nobody issues it."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name), x509.NameAttribute(NameOID.COMMON_NAME, f"{name} signs")]
    )
    now, is_root = datetime.datetime.now(datetime.UTC), issuer is None
    flags = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    signer, parent = issuer or (key, None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **flags),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage.dotted_string.endswith(".8"))
    return builder.sign(signer, hashes.SHA256())


def private_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture
def authority() -> tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate]:
    key = rsa.generate_private_key(65537, 2048)
    return key, issue(key, "An authority")


def bring(
    authority: tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate], name: str, curve: str = "p384"
) -> bytes:
    """Puts the key of a customer of the authority where an operator's is looked for; the file's content."""
    made: dict[str, CertificateIssuerPrivateKeyTypes] = {
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "rsa": rsa.generate_private_key(65537, 2048),
    }
    key = made[curve]
    content = private_pem(key) + issue(key, name, authority).public_bytes(PEM) + authority[1].public_bytes(PEM)
    operator_path().parent.mkdir(parents=True, exist_ok=True)
    operator_path().write_bytes(content)
    return content


@pytest.fixture
def picture(tmp_path: Path, frames: list[np.ndarray]) -> Path:
    write_picture(tmp_path / "picture.png", frames[0])
    return tmp_path / "picture.png"


@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_a_file_carries_the_operator_s_certificate(
    authority: tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate], picture: Path, kind: str
) -> None:
    own = sign(shutil.copy(picture, picture.with_name("own.png")), CLAIMS)
    bring(authority, "Example Studio", kind)
    found = read_credentials(sign(picture, CLAIMS))
    assert found is not None
    assert (found.is_intact, found.signer, found.signer_name) == (True, "this installation", "Example Studio signs")
    report = describe(picture)
    assert report["is_proven"]
    assert "its operator's certificate (Example Studio signs)" in " ".join(report["lines"])
    before = read_credentials(own)
    assert before is not None
    assert before.signer == "this installation", "what was signed before the operator brought a key stays its own"


def test_another_customer_of_the_same_authority_is_not_this_installation(
    authority: tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate], picture: Path
) -> None:
    bring(authority, "facegen")
    sign(picture, CLAIMS)
    bring(authority, "Example Studio")
    found = read_credentials(picture)
    assert found is not None
    assert (found.is_intact, found.signer) == (True, "another facegen")
    assert not verify(picture).is_proven


@pytest.mark.parametrize("damage", ["no key", "certificate of another", "chain of another", "curve"])
def test_what_is_no_key_with_its_certificates_is_refused(
    authority: tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate], picture: Path, damage: str
) -> None:
    content = bring(authority, "Example Studio")
    start = content.index(b"-----BEGIN CERTIFICATE-----")
    other = ec.generate_private_key(ec.SECP256K1() if damage == "curve" else ec.SECP384R1())
    operator_path().write_bytes(
        {
            "no key": b"a key\n",
            "certificate of another": private_pem(other) + content[start:],
            "chain of another": content[: content.rindex(b"-----BEGIN CERTIFICATE-----")]
            + issue(other, "Another authority").public_bytes(PEM),
            "curve": private_pem(other) + issue(other, "Example Studio", authority).public_bytes(PEM),
        }[damage]
    )
    before = picture.read_bytes()
    with pytest.raises(InputError, match=r"operator\.pem, found something else"):
        sign(picture, CLAIMS)
    assert picture.read_bytes() == before


@pytest.fixture
def time_stamps(
    authority: tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """Address of a time-stamp authority."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl, which plays the time-stamp authority")
    folder = tmp_path / "tsa"
    folder.mkdir()
    key = rsa.generate_private_key(65537, 2048)
    (folder / "tsa.key").write_bytes(private_pem(key))
    certificate = issue(key, "A clock", authority, ExtendedKeyUsageOID.TIME_STAMPING)
    (folder / "tsa.pem").write_bytes(certificate.public_bytes(PEM))
    (folder / "root.pem").write_bytes(authority[1].public_bytes(PEM))
    (folder / "tsa.cnf").write_text(TSA)
    (folder / "serial").write_text("01")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            words = "openssl ts -reply -queryfile query -config tsa.cnf -out reply"
            subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)
            reply = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv(TIMESTAMP_URL, url)
        yield url
        server.shutdown()


def test_an_authority_confirms_the_time(picture: Path, time_stamps: str) -> None:
    found = read_credentials(sign(picture, CLAIMS))
    assert found is not None
    assert (found.is_intact, found.signer, found.timestamped_by) == (True, "this installation", "A clock signs")
    assert "confirmed by the time stamp of «A clock signs»" in " ".join(describe(picture)["lines"])


def test_a_stranger_s_parent_is_no_reason_to_have_no_time_stamp(picture: Path, time_stamps: str) -> None:
    parent = Path(shutil.copy(picture, picture.with_name("parent.png")))
    decode_apart(lambda path: path.name == parent.name)
    try:
        found = read_credentials(sign(picture, Claims(job="swap", engine="mesh", parent=parent)))
    finally:
        decode_apart(None)
    assert found is not None
    assert (found.is_intact, found.timestamped_by) == (True, "A clock signs")


def test_an_authority_that_does_not_answer_is_said(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMESTAMP_URL, "http://127.0.0.1:9/")
    target = picture.with_name("made.png")
    (notice,) = write_signed(target, CLAIMS, lambda path: shutil.copy(picture, path) and None)
    assert "127.0.0.1:9" in notice
    found = read_credentials(target)
    assert found is not None
    assert (found.is_intact, found.timestamped_by) == (True, "")
    assert "by the clock of that machine" in " ".join(describe(target)["lines"])
