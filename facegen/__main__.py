"""`python -m facegen` and the command `facegen`."""

import sys


def main() -> None:
    """Run the command line; see `exit_codes` for how it ends."""
    from facegen.cli import build_app
    from facegen.device import keep_memory_flat
    from facegen.worker import exit_codes

    keep_memory_flat()
    with exit_codes():
        build_app(sys.argv[1:])(prog_name="facegen")


if __name__ == "__main__":
    main()
