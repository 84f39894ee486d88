"""Reenactment."""
