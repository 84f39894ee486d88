"""The Generate tab: its layout in `tab.py`, and what it needs."""

from facegen.ui.tabs.generate.tab import build

__all__ = ["build"]
