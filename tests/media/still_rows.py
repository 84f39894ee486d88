"""Rows of docs/media.md, «Stills, transparency and names»."""

from tests.media.table import Row

ROWS: tuple[Row, ...] = ()
