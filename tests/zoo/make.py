"""Make the zoo in a folder: ``python -m tests.zoo.make FOLDER [NAME …]``.

With EMOFUSE_RAVDESS, its faces and voices are real recordings, which must not be passed on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.zoo.material import have_programs, make_material
from tests.zoo.zoo import KINDS


def main() -> None:
    """Read the options and make the files, each in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo.make", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("names", nargs="*", help="of the files to make; all by default")
    options = parser.parse_args()
    program = have_programs()
    if program is not None:
        parser.error(f"there is no {program} program")
    known = {kind.name for kind in KINDS}
    if not known.issuperset(options.names):
        parser.error(f"there is no {', '.join(sorted(set(options.names) - known))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    recordings = os.environ.get("EMOFUSE_RAVDESS")
    with tempfile.TemporaryDirectory() as home:
        material = make_material(Path(home), Path(recordings) if recordings else None)
        for kind in KINDS:
            if options.names and kind.name not in options.names:
                continue
            missing = kind.missing()
            if missing is None:
                with tempfile.TemporaryDirectory() as scratch:
                    kind.write(material, options.folder, Path(scratch))
            print(kind.name, f"left out: {missing}" if missing else "", flush=True)


if __name__ == "__main__":
    main()
