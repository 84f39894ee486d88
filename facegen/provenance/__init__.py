"""Provenance of outputs: content credentials (C2PA), an invisible watermark, a plain notice; and their verification."""

from facegen.provenance.credentials import NOTICE, Credentials, has_notice, read_credentials
from facegen.provenance.detection import FALSE_POSITIVE_RATE, THRESHOLD, MarkScore, MarkSearch, detect_mark, to_luma
from facegen.provenance.keys import InstallationKey, MarkKey, get_installation_key, read_key
from facegen.provenance.report import Report, verify
from facegen.provenance.signing import Claims, sign, write_signed
from facegen.provenance.watermark import Watermark, mark_picture

__all__ = [
    "FALSE_POSITIVE_RATE",
    "NOTICE",
    "THRESHOLD",
    "Claims",
    "Credentials",
    "InstallationKey",
    "MarkKey",
    "MarkScore",
    "MarkSearch",
    "Report",
    "Watermark",
    "detect_mark",
    "get_installation_key",
    "has_notice",
    "mark_picture",
    "read_credentials",
    "read_key",
    "sign",
    "to_luma",
    "verify",
    "write_signed",
]
