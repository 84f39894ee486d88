"""One tab, one file; each has `build(services, ...)`, called inside the studio's Blocks."""
