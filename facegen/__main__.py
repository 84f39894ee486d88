"""`python -m facegen` and the command `facegen`."""

import sys


def main() -> None:
    """Run the command line; see `exit_codes` for how it ends."""
    from facegen.cli import build_app
    from facegen.device import limit_malloc_arenas
    from facegen.worker import exit_codes

    limit_malloc_arenas()
    with exit_codes():
        build_app(sys.argv[1:])(prog_name="facegen")


if __name__ == "__main__":
    main()
