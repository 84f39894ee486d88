"""Swaps trained for two people: one encoder that sees both, and what draws each of them again. See docs/trained.md.

Person A is in the video that gets the face (DeepFaceLab's «dst»); person B gives the face («src»).
"""
