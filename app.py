"""Starts the studio: what `make app`, the container and a Space run."""

from facegen.ui.__main__ import main

if __name__ == "__main__":
    main()
