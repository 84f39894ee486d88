"""Reenactment by LivePortrait (Guo et al. 2024, arXiv 2407.03168): a face that other keypoints move.

```
weights        the six files
live_portrait  the networks: features and motion of a face, stitching, retargeting, the picture
motion         what the motion extractor says of a face, and its keypoints
editing        the 14 sliders
crop           crops a face, moves it and pastes it back
```
Facts of FaceFusion 3.8 (face_editor, expression_restorer), which publishes the files; none of them was run here with its
real weights.
"""
