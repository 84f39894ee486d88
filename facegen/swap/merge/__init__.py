"""Merging: the face that a trained model predicts, composited into the frame. See docs/trained.md.

```
engine           AutoencoderEngine: the swap engine of `autoencoder:RUN` and `dfm:FILE`
predictor        runs the model: torch, or ONNX Runtime for .dfm files
masks            where the new face shows: predicted, hull, parser or a trained mask; eroded and blurred
colour_transfer  rct, lct, mkl, idt and sot, for merges and for training
blending         colour statistics, histogram matching, Poisson blending, sharpening and motion blur of the crop
mesh_guided      mode=mesh-guided: the predicted face warped to the mesh of the frame's face
options          MergeOptions, its text form, and the files that keep it beside a run
```
"""
