"""``python -m emofuse``, and the command ``emofuse``."""

import sys


def main() -> None:
    """Load the command line and run it; an interrupt while it loads is one as well."""
    try:
        from emofuse.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
