"""How a radiance field is built; read without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from facegen.config import check


@dataclass(frozen=True, kw_only=True)
class FastConfig:
    """Sizes of the `fast` field."""

    plane_size: int = field(default=96, metadata={"min": 8, "max": 1024})
    """Side of each of the three planes."""
    channels: int = field(default=16, metadata={"min": 2, "max": 64})
    """Numbers at each place of a plane."""
    width: int = field(default=64, metadata={"min": 8, "max": 512})
    """Width of the two layers behind the planes."""
    features: int = field(default=31, metadata={"min": 3, "max": 255})
    """Numbers that a ray brings back, beside its opacity."""
    samples: int = field(default=10, metadata={"min": 2, "max": 128})
    """Samples along a ray, all near the head's surface."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """Sizes of the `reference` field; the defaults are DFRF's."""

    depth: int = field(default=8, metadata={"min": 2, "max": 16})
    """Layers of the coarse and of the fine network."""
    width: int = field(default=256, metadata={"min": 8, "max": 1024})
    """Their width."""
    coarse: int = field(default=64, metadata={"min": 4, "max": 512})
    """Samples along a ray for the coarse network."""
    fine: int = field(default=128, metadata={"min": 0, "max": 1024})
    """Further samples for the fine network, where the coarse one saw something."""
    rays: int = field(default=850, metadata={"min": 8, "max": 65536})
    """Rays of one training step."""
    face_share: float = field(default=0.95, metadata={"min": 0.0, "max": 1.0})
    """Share of them inside the face."""

    def __post_init__(self) -> None:
        check(self)
