"""The Talk tab: its layout in `tab.py`, and what it needs."""

from facegen.ui.tabs.talk.tab import build

__all__ = ["build"]
