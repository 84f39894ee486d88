"""Types of facegen/api.py for editors and type checkers. Written by docs/make_api.py from the declarations of jobs."""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from PIL import Image

from facegen.facesets.options import ExtractResult
from facegen.jobs.progress import OnProgress
from facegen.swap.request import SwapResult
from facegen.talk.request import TalkResult

AnyPath: TypeAlias = str | os.PathLike[str]

def swap(
    source: AnyPath | Sequence[AnyPath] | None,
    target: AnyPath,
    output: AnyPath,
    *,
    consent: bool = ...,
    on_progress: OnProgress | None = ...,
    people: Mapping[int, AnyPath | Sequence[AnyPath]] = ...,
    patches: bool = ...,
    encoder: Literal["auto", "h264", "h265", "vp9", "av1", "prores", "h264-gpu", "h265-gpu", "av1-gpu"] = ...,
    crf: int = ...,
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = ...,
    transparency: bool = ...,
    file_type: Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "zip"] = ...,
    faces: Literal["all", "largest", "person"] = ...,
    person: int = ...,
    source_face: int | None = ...,
    face_shape: float = ...,
    mask_feather: float = ...,
    colour: float = ...,
    finish: float = ...,
    restore: float = ...,
    expression: float = ...,
    enhance: str = ...,
    frame_chain: str = ...,
    background: str = ...,
    sharpness_match: float = ...,
    grain_match: float = ...,
    temporal_smoothing: float = ...,
    occlusion: bool = ...,
    masks: str = ...,
    when_no_face: Literal["keep", "hold", "skip"] = ...,
    start_seconds: float = ...,
    end_seconds: float | None = ...,
    engine: str = ...,
    sliders: str = ...,
    identity_strength: float = ...,
    pixel_boost: int = ...,
    detector: Literal["auto", "embedded", "facexlib", "yunet", "scrfd", "yoloface"] = ...,
    recogniser: Literal["embedded", "arcface", "auraface"] = ...,
    merge: str = ...,
    keep_position: bool = ...,
    label: Literal["auto", "none", "en", "de", "es", "ja", "ko", "zh"] = ...,
) -> SwapResult:
    """Put a face into a video or a picture; the same call goes on where it was cut off.

    Args:
        source: a picture of the face, a folder of pictures or a video, or several; None for an engine that takes none,
            or with `people`.
        target: the video or picture that gets the face.
        output: the file for the result, signed and marked.
        consent: whether everyone whose face is used agreed to it; a warning reminds of it otherwise.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        people: Sources by person of the clip (0 is on screen the longest), in place of sources. People that are not named here keep their face.
        patches: Write the new faces alone into the folder output, for compositors: 16-bit pictures with alpha, and the matrices that lay them into the frames (trained models only).
        encoder: Video codec: auto is VP9 for .webm (AV1 in 10 bit), ProRes for .mov with transparency, H.264 for the rest; h265 is what televisions play HDR from, av1 makes the smallest files, prores is for editing; those with -gpu are quick on a graphics card, and say so where they fall back to the CPU.
        crf: Quality on the scale of x264, whatever the encoder: lower is better and larger; 18 looks like the original.
        preset: Effort of the encoder, in the words of x264: slower makes smaller files.
        transparency: Keep the transparency of a video (.webm and .mkv with VP9, .mov with ProRes); else it is laid on white.
        file_type: Kind of file that a video becomes where the output has no name of its own, as in the browser.
        faces: Which faces get the source: all, the largest of each frame, or one person of the clip.
        person: Which person, counted as «find people» shows them (0: on screen the longest), when faces is person.
        source_face: Which face of a source picture that shows several, counted from the left, 0 first.
        face_shape: How far eyes, nose, mouth and chin take the source's proportions.
        mask_feather: How soft the border of the new face is.
        colour: How closely skin tone and lighting follow the clip.
        finish: How far the learned harmonization changes the new face's light, shine and detail to those of the clip.
        restore: How far the embedded restorer redraws the details of the new face: for small and soft faces; slow.
        expression: How far the target's own expression is put back onto the new face by LivePortrait, once it is fetched; slow.
        enhance: Face enhancers that redraw the new face one after another, with their strengths: «gfpgan-1-4=0.8, restorer=0.3».
        frame_chain: Fetched models that enlarge the whole frame or take its background away, in order: «modnet, real-esrgan-x2=0.8».
        background: Colour in the place of a background that was taken away; with transparency nothing is put there.
        sharpness_match: How closely the sharpness of the new face follows the clip (focus and motion blur).
        grain_match: How much of the clip's noise is given to the new face.
        temporal_smoothing: How calm lighting and borders are from frame to frame.
        occlusion: Leave hands, hair, glasses and microphones in front of the face.
        masks: Fetched models that tell, beside the embedded parser, what covers the face: «xseg-3, bisenet-34».
        when_no_face: A frame without a face to swap: keep it, hold the last swapped picture, or skip it with its sound.
        start_seconds: Where the result begins in the target.
        end_seconds: Where it ends (nothing: at the end of the target).
        engine: What makes the new face: mesh is built in and needs a source; so do one-shot models such as hyperswap-1a-256 once they are fetched; autoencoder:RUN (a training of «saehd») and dfm:FILE draw whom they were trained for; live-portrait moves the target's own face by sliders.
        sliders: How the engine live-portrait changes the target's own face, -1 to 1 each, 0.5 where no value is given: «mouth-smile, head-yaw=-0.3».
        identity_strength: How strongly a one-shot model follows the source's identity: below 0.5 mixed with the target's, above exaggerated.
        pixel_boost: How many times larger the crop of a one-shot model is than what it was made for: sharper, at the square of the time.
        detector: Face detector: embedded, one whose weights were fetched, or auto: facexlib if its weights are present.
        recogniser: What tells people apart: embedded (dlib), or arcface or auraface once it is fetched.
        merge: How a trained face is merged into the frame, as «mode=overlay, mask=hull, blur=40»; see docs/trained.md.
        keep_position: Keep where the target was recorded (GPS); date and camera are always kept.
        label: Words in a corner that say that AI made it, in this language; auto writes them where the studio's profile says so.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """

def generate(
    output: AnyPath | None = ...,
    *,
    on_progress: OnProgress | None = ...,
    more: Mapping[str, float] = ...,
    sweep: str | Sequence[str] = ...,
    film: bool = ...,
    edit: AnyPath = ...,
    eyes: float = ...,
    mouth: float = ...,
    hair: float = ...,
    background: float = ...,
    head: float = ...,
    seed: int = ...,
    count: int = ...,
    temperature: float = ...,
    retouch: bool = ...,
    size: Literal[256, 512] = ...,
    expression: str = ...,
    best_of: int = ...,
    label: Literal["auto", "none", "en", "de", "es", "ja", "ko", "zh"] = ...,
    film_encoder: Literal["auto", "h264", "h265", "vp9", "av1", "prores", "h264-gpu", "h265-gpu", "av1-gpu"] = ...,
    film_crf: int = ...,
    film_preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = ...,
    film_transparency: bool = ...,
    film_file_type: Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "zip"] = ...,
) -> list[Image.Image]:
    """Draw faces that do not exist, and return them as RGB pictures of Pillow, watermarked.

    Args:
        output: a folder that also gets them as signed files (the signature does not travel with a picture in memory).
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        more: A further direction, about -3 to 3, e.g. smile=1.5.
        sweep: Let this slider go from 0 to 1: a strip; given twice, a square.
        film: Write a sweep of one slider as a video too, an MP4 unless another film_file_type is chosen.
        edit: A photograph whose face is drawn instead of a new one.
        eyes: How far the eyes are open: 0 closed, 1 wide open.
        mouth: How far the mouth is open: 0 closed, 1 wide open.
        hair: How dark the hair is: 0 blond, 1 black.
        background: How bright the background is: 0 dark, 1 white.
        head: Where the head is turned: 0 to the picture's left, 0.5 ahead, 1 to its right.
        seed: Seed of the first face; further faces take the following seeds.
        count: Number of faces.
        temperature: How much faces differ: 0 draws the average face, 1 faces as different as people are.
        retouch: Draw details anew as a photograph has them.
        size: Side of retouched faces and their films, pixels; sweeps as pictures show each face at 256.
        expression: LivePortrait's sliders for an edited photograph, once it is fetched, -1 to 1 each, 0.5 where no value is given: «mouth-smile, head-yaw=-0.3».
        best_of: Seeds tried for each face; the one that looks most like a photograph is kept.
        label: Words in a corner that say that AI made it, in this language; auto writes them where the studio's profile says so.
        film_encoder: Video codec: auto is VP9 for .webm (AV1 in 10 bit), ProRes for .mov with transparency, H.264 for the rest; h265 is what televisions play HDR from, av1 makes the smallest files, prores is for editing; those with -gpu are quick on a graphics card, and say so where they fall back to the CPU.
        film_crf: Quality on the scale of x264, whatever the encoder: lower is better and larger; 18 looks like the original.
        film_preset: Effort of the encoder, in the words of x264: slower makes smaller files.
        film_transparency: Keep the transparency of a video (.webm and .mkv with VP9, .mov with ProRes); else it is laid on white.
        film_file_type: Kind of file that a video becomes where the output has no name of its own, as in the browser.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """

def talk(
    portrait: AnyPath | None,
    audio: AnyPath,
    output: AnyPath,
    *,
    consent: bool = ...,
    on_progress: OnProgress | None = ...,
    driving: AnyPath | None = ...,
    encoder: Literal["auto", "h264", "h265", "vp9", "av1", "prores", "h264-gpu", "h265-gpu", "av1-gpu"] = ...,
    crf: int = ...,
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = ...,
    transparency: bool = ...,
    file_type: Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "zip"] = ...,
    mouth: float = ...,
    head: float = ...,
    eyes: float = ...,
    still: bool = ...,
    blink: bool = ...,
    seed: int = ...,
    restore: float = ...,
    face: int | None = ...,
    frame: float | None = ...,
    seconds: float | None = ...,
    longest_side: int = ...,
    engine: str = ...,
    motion: str = ...,
    keep_position: bool = ...,
    label: Literal["auto", "none", "en", "de", "es", "ja", "ko", "zh"] = ...,
) -> TalkResult:
    """Make a portrait speak, or give a person in a video other words; the same call goes on where it was cut off.

    Args:
        portrait: a picture of the speaker, or a video of them, in which then only the mouth changes; None for a person's
            field.
        audio: what is said: a sound file, or a video with sound.
        output: the file for the video, signed and marked.
        consent: whether everyone whose face or voice is used agreed to it; a warning reminds of it otherwise.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        driving: A video whose head and eyes are followed, in place of invented movements.
        encoder: Video codec: auto is VP9 for .webm (AV1 in 10 bit), ProRes for .mov with transparency, H.264 for the rest; h265 is what televisions play HDR from, av1 makes the smallest files, prores is for editing; those with -gpu are quick on a graphics card, and say so where they fall back to the CPU.
        crf: Quality on the scale of x264, whatever the encoder: lower is better and larger; 18 looks like the original.
        preset: Effort of the encoder, in the words of x264: slower makes smaller files.
        transparency: Keep the transparency of a video (.webm and .mkv with VP9, .mov with ProRes); else it is laid on white.
        file_type: Kind of file that a video becomes where the output has no name of its own, as in the browser.
        mouth: How widely the mouth opens; 1 is clear speech.
        head: How far the head turns, nods and sways.
        eyes: How much the eyes look about and the brows rise; blinking is not part of it.
        still: Keep the head where it is; mouth and eyes still move.
        blink: Let the eyes blink, 10 to 25 times a minute, mostly at pauses.
        seed: Another number gives other movements of head and eyes; the same number the same ones.
        restore: How far the face restorer sharpens the result; for portraits that are small, blurred or compressed. Slower.
        face: Which face of a portrait that shows several, counted from the left, 0 first (nothing: the largest one that looks at the camera).
        frame: Of a video, only the picture at this second speaks (nothing: the video itself gets other words).
        seconds: Only the first so many seconds (nothing: all of the sound).
        longest_side: A larger portrait is made smaller to this many pixels.
        engine: What draws the speaker: portrait is built in and needs one picture; dfrf:RUN is a person's own field; live-portrait moves one picture, and wav2lip, wav2lip-gan and edtalk the lips of a video, once they are fetched.
        motion: A run of «train motion» whose network says how the mouth moves (nothing: the one that is built in).
        keep_position: Keep where the sound was recorded (GPS), as files of phones say it.
        label: Words in a corner that say that AI made it, in this language; auto writes them where the studio's profile says so.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """

def extract(
    inputs: AnyPath | Sequence[AnyPath],
    output: AnyPath,
    *,
    on_progress: OnProgress | None = ...,
    persons: AnyPath | Sequence[AnyPath] = ...,
    others: AnyPath | Sequence[AnyPath] = ...,
    face_type: Literal["half", "mid_full", "full", "whole_face", "head"] = ...,
    size: int = ...,
    every: int = ...,
    min_face_px: int = ...,
    min_sharpness: float = ...,
    max_faces: int = ...,
    person_distance: float = ...,
    format: Literal["jpg", "png"] = ...,
    jpeg_quality: int = ...,
    detector: Literal["auto", "embedded", "facexlib", "yunet", "scrfd", "yoloface"] = ...,
    debug: bool = ...,
) -> ExtractResult:
    """Cut faces out of videos and pictures into a faceset; the same call goes on where it was cut off.

    Args:
        inputs: a video, a picture or a folder of both, or several.
        output: the faceset's folder; it may hold faces already.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        persons: Picture of the one person that is wanted.
        others: Picture of a person that is not wanted.
        face_type: How much of the head is shown; a larger type can be cut down to a smaller one later.
        size: Side of the pictures, pixels.
        every: Look at every so many frames of a video.
        min_face_px: Leave out faces smaller than this in their source.
        min_sharpness: Leave out faces less sharp than this (statistics show the spread; crisp faces have 20 and more).
        max_faces: Take at most so many faces of a picture, largest first; 0 takes all.
        person_distance: Faces nearer than this to a reference picture are that person.
        format: How pictures are kept.
        jpeg_quality: Quality of JPEG pictures.
        detector: Face detector: embedded, one whose weights were fetched, or auto: facexlib if its weights are present.
        debug: Also keep each source picture, small, with the points and the outline of the crop drawn in.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """
