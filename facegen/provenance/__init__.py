"""Outputs say what they are: content credentials (C2PA), an invisible watermark, a plain notice; and their check."""

from facegen.provenance.credentials import Claims, Credentials, read_credentials, sign, sign_output
from facegen.provenance.detection import THRESHOLD, MarkScore, find_mark
from facegen.provenance.keys import InstallationKey, installation_key, read_key
from facegen.provenance.notice import NOTICE, has_notice
from facegen.provenance.report import FALSE_POSITIVE_RATE, Report, verify
from facegen.provenance.search import MarkSearch
from facegen.provenance.watermark import Watermark, mark_picture

__all__ = [
    "FALSE_POSITIVE_RATE",
    "NOTICE",
    "THRESHOLD",
    "Claims",
    "Credentials",
    "InstallationKey",
    "MarkScore",
    "MarkSearch",
    "Report",
    "Watermark",
    "find_mark",
    "has_notice",
    "installation_key",
    "mark_picture",
    "read_credentials",
    "read_key",
    "sign",
    "sign_output",
    "verify",
]
