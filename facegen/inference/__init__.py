"""Networks of ONNX files on the quickest available accelerator, and a record of what they ran on."""

from facegen.inference.accelerators import ACCELERATORS, Accelerator, accelerator_order, obstacle
from facegen.inference.network import OnnxNetwork
from facegen.inference.trial import try_accelerators
from facegen.inference.usage import Usage, watch_networks

__all__ = [
    "ACCELERATORS",
    "Accelerator",
    "OnnxNetwork",
    "Usage",
    "accelerator_order",
    "obstacle",
    "try_accelerators",
    "watch_networks",
]
