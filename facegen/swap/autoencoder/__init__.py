"""Swaps trained for two people: a shared encoder and a decoder for each (SAEHD). See docs/trained.md.

Person A is in the video that gets the face (DeepFaceLab's «dst»); person B gives the face («src»).
"""
