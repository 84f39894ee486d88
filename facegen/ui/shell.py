"""What every tab of one page shares: who visits, and whether consent was given."""

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True, kw_only=True)
class Shell:
    """The widgets above the tabs."""

    visitor: gr.State
    """Holds the page's `Visitor`."""

    consent: gr.Checkbox
    """Ticked once a visit; every event that makes something takes it as an input."""
