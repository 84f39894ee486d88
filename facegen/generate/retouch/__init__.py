"""The retoucher: flow matching from a drawn face to a photograph of it. Imports no torch."""
