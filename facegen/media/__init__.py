"""Pictures, video and sound in and out. Images are RGB uint8 (H, W, 3); YUV and BGR stay inside this room."""

from facegen.media.color import VideoColor
from facegen.media.edit import denoise, join, replace_sound, side_by_side, trim
from facegen.media.encoders import CONTAINERS, check_animation, find_encoder
from facegen.media.frame import Frame
from facegen.media.info import StreamInfo, VideoInfo, is_video, probe
from facegen.media.join import check_video_output, join_segments, write_video
from facegen.media.monochrome import Tint, measure_tint, tint_patch
from facegen.media.output import atomic_output, check_output
from facegen.media.patch import Patch, paste_picture
from facegen.media.picture import Still, is_picture, read_picture, read_still, write_deep_picture, write_picture
from facegen.media.read import frame_times, key_frames, prefetch, read_frame_at, read_frames
from facegen.media.segments import SegmentWriter, last_index, list_segments
from facegen.media.sound import read_audio, read_audio_windows, stated_seconds
from facegen.media.stills import folder_to_video, frames_to_folder, make_video_info

__all__ = [
    "CONTAINERS",
    "Frame",
    "Patch",
    "SegmentWriter",
    "Still",
    "StreamInfo",
    "Tint",
    "VideoColor",
    "VideoInfo",
    "atomic_output",
    "check_animation",
    "check_output",
    "check_video_output",
    "denoise",
    "find_encoder",
    "folder_to_video",
    "frame_times",
    "frames_to_folder",
    "is_picture",
    "is_video",
    "join",
    "join_segments",
    "key_frames",
    "last_index",
    "list_segments",
    "make_video_info",
    "measure_tint",
    "paste_picture",
    "prefetch",
    "probe",
    "read_audio",
    "read_audio_windows",
    "read_frame_at",
    "read_frames",
    "read_picture",
    "read_still",
    "replace_sound",
    "side_by_side",
    "stated_seconds",
    "tint_patch",
    "trim",
    "write_deep_picture",
    "write_picture",
    "write_video",
]
