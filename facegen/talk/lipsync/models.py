"""The models that move lips to sound, by the names of their engines. Imports no torch.

Facts of FaceFusion 3.8 (lip_syncer), which publishes the files; none of them was run here with its real weights.
"""

from __future__ import annotations

from facegen.hub import WeightFile
from facegen.hub.facefusion import Terms, facefusion_file

_TERMS = Terms(
    "Wav2Lip, non-commercial",
    "The authors of Wav2Lip allow research and personal use alone, as it was trained on LRS2.",
    "https://github.com/Rudrabha/Wav2Lip#license-and-citation",
)
LIPSYNC: dict[str, WeightFile] = {
    "wav2lip": facefusion_file(
        "3.0.0", "wav2lip_96.onnx", _TERMS, name="wav2lip", purpose="moves lips to sound, exactly", jobs=("talk",)
    ),
    "wav2lip-gan": facefusion_file(
        "3.0.0",
        "wav2lip_gan_96.onnx",
        _TERMS,
        name="wav2lip-gan",
        purpose="moves lips to sound, with sharper teeth",
        jobs=("talk",),
        sets=("best",),
    ),
}
