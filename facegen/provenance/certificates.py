"""Creates the signing key of an installation and its certificates, and looks at those that an operator brings.

A new root certificate signs one leaf certificate, and the leaf signs files. The root's private key is discarded at once,
so that nothing else can be issued under it. The certificates follow the C2PA profile: X.509 v3, ES256, a leaf that is no CA, with the digitalSignature usage and an accepted extended key usage.
"""

import datetime
import itertools

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=25 * 365)
_BACKDATED = datetime.timedelta(days=1)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def create_key(organisation: str) -> str:
    """A new private key, its certificate and the root certificate, as PEM one after the other.

    Args:
        organisation: name of the organisation in both certificates.
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _name(organisation, "facegen installation root")
    root = _sign_certificate(root_name, root_name, root_key.public_key(), root_key)
    leaf_name = _name(organisation, f"facegen installation {root.fingerprint(hashes.SHA256())[:3].hex()}")
    leaf = _sign_certificate(leaf_name, root_name, leaf_key.public_key(), root_key)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return (private + leaf.public_bytes(pem) + root.public_bytes(pem)).decode("ascii")


def describe_key(private_pem: str, chain_pem: str) -> tuple[str, str]:
    """The C2PA name of the signatures that a private key makes, and its certificate's serial number in decimal.

    Args:
        private_pem: the key.
        chain_pem: its certificate first, then those that vouch for it.

    Raises:
        ValueError: they are not that, do not belong together, or C2PA knows no such signature.
    """
    key = serialization.load_pem_private_key(private_pem.encode(), None)
    chain = x509.load_pem_x509_certificates(chain_pem.encode())
    if key.public_key() != chain[0].public_key():
        raise ValueError("the first certificate is another key's")
    for certificate, issuer in itertools.pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError):
            raise ValueError("a certificate is not signed by the next one") from None
    if isinstance(key, rsa.RSAPrivateKey):
        name = "ps256"
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        name = "ed25519"
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        name = _CURVES[key.curve.name]
    else:
        raise ValueError(f"C2PA signs with no {type(key).__name__} of this kind")
    return name, str(chain[0].serial_number)


def _sign_certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, root_key: ec.EllipticCurvePrivateKey
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
        .subject_name(subject)
        .issuer_name(issuer)
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


def _name(organisation: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
