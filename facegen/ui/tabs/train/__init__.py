"""The Train tab: its layout in `tab.py`, and what it needs."""

from facegen.ui.tabs.train.tab import build

__all__ = ["build"]
