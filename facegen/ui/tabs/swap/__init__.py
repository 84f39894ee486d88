"""The Swap tab: its layout in `tab.py`, and what it needs."""

from facegen.ui.tabs.swap.tab import build

__all__ = ["build"]
