"""The signing key of an installation."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from facegen.errors import InputError, ResourceError
from facegen.provenance.keys import get_installation_key, key_path, read_key


def test_there_is_no_key_before_the_first_use(facegen_home: Path) -> None:
    assert read_key() is None
    assert not facegen_home.exists()


def test_the_key_is_for_its_owner_alone() -> None:
    get_installation_key()
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(key_path().parent.stat().st_mode) == 0o700
    assert [path.name for path in key_path().parent.iterdir()] == ["installation.pem"]


def test_the_key_is_made_once() -> None:
    assert get_installation_key() == get_installation_key() == read_key()


def test_first_uses_at_once_agree_on_one_key() -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: get_installation_key(), range(8)))
    assert len({key.private_pem for key in keys}) == 1


def test_the_certificates_follow_the_profile() -> None:
    leaf, root = x509.load_pem_x509_certificates(get_installation_key().chain_pem.encode())
    assert leaf.issuer == root.subject == root.issuer
    leaf.verify_directly_issued_by(root)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_damaged_key_is_said(facegen_home: Path) -> None:
    get_installation_key()
    key_path().write_text("not a key")
    with pytest.raises(InputError, match="Expected a private key"):
        read_key()


def test_a_home_that_cannot_be_written_is_said(facegen_home: Path) -> None:
    facegen_home.write_text("a file where a folder should be")
    with pytest.raises(ResourceError, match="FACEGEN_HOME"):
        get_installation_key()
