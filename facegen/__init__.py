"""facegen: a studio for synthetic faces."""

import os

__version__ = "0.1.0"

# ONNX Runtime reads this when it is imported, and otherwise tells its maker of every start
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
