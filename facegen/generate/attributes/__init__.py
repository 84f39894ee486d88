"""What is read from a picture: the attribute network, its training, and measures by mesh and parser. Imports no torch."""
