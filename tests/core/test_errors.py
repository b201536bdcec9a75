from __future__ import annotations

import copy
import inspect
import re
from pathlib import Path

from emofuse.core import errors
from emofuse.core.errors import EmofuseError, MediaError, MissingExtraError, WorkerLostError


def test_the_tree_in_the_docstring_is_complete_and_true() -> None:
    drawn: dict[str, str] = {}
    branch = ["EmofuseError"]
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ((?:│   )*)[├└]── (\w+) ", line):
            depth = len(found[1]) // 4 + 1
            drawn[found[2]] = branch[depth - 1]
            branch[depth:] = [found[2]]
    defined = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, EmofuseError) and kind is not EmofuseError
    }
    assert drawn == defined
    order = [name for name in vars(errors) if name in defined]
    assert list(drawn) == order


def test_errors_keep_their_arguments_on_the_way_from_a_worker_process() -> None:
    media = copy.copy(MediaError("a.wav", "has no audio"))
    assert (str(media), media.path, media.problem) == ("a.wav: has no audio", Path("a.wav"), "has no audio")
    extra = copy.copy(MissingExtraError("train", "training"))
    assert str(extra) == "training needs an optional part: pip install 'emofuse[train]'"
    lost = copy.copy(WorkerLostError("took longer than 5 s", killed=True))
    assert (str(lost), lost.reason, lost.killed) == ("took longer than 5 s", "took longer than 5 s", True)
