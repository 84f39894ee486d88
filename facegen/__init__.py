"""facegen: a studio for synthetic faces."""

__version__ = "0.1.0"
