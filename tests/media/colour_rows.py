"""Rows of docs/media.md, «Colour and geometry»."""

from tests.media.table import Row

ROWS: tuple[Row, ...] = ()
