"""``python -m emofuse``, and the command ``emofuse``."""

import sys


def main() -> None:
    """Load the command line and run it; an interrupt while it loads is one as well."""
    try:
        from emofuse.cli.interrupts import end_if_received, end_on_signals
    except KeyboardInterrupt:
        sys.exit(130)
    end_on_signals()
    try:
        from emofuse.cli.app import main as run
    finally:  # an interrupted import may end in any error
        end_if_received()
    run()


if __name__ == "__main__":
    main()
