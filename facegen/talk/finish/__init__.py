"""The last word on a drawn face: a small network that moves its shadows and lets light into its mouth."""
