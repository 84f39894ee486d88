"""The classifier of photographs against generated faces. Imports no torch."""
