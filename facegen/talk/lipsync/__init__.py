"""Lips of a person in a video, moved by models of the Hub."""
