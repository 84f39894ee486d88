"""The learned finish of the mesh engine: what its drawing must become to stand in a frame's light."""
