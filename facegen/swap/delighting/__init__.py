"""Takes shadows, shine and coloured light out of a picture of a face, before its skin becomes a texture."""
