"""One-shot swaps: published networks that put a face from one picture onto another, each described by a record."""
