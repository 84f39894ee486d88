"""The Faceset tab: its layout in `tab.py`, and what it needs."""

from facegen.ui.tabs.faceset.tab import build

__all__ = ["build"]
