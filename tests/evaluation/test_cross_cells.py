from __future__ import annotations

from itertools import pairwise

from emofuse.evaluation.cross_cells import Cell, all_cells


def test_cells_of_three_corpora_and_of_two() -> None:
    cells = all_cells(["A", "B", "C"], ["none", "speaker"])
    assert len(cells) == 2 * (3 + 6 + 3)
    assert [cell.name for cell in cells[:4]] == ["within A", "within B", "within C", "A → B"]
    assert [cell.name for cell in cells if cell.kind == "rest"][:3] == ["B + C → A", "A + C → B", "A + B → C"]
    # of two, all others are the other one
    assert {cell.kind for cell in all_cells(["A", "B"], ["none"])} == {"within", "pair"}
    assert all(cell.test not in cell.train for cell in cells if cell.kind != "within")


def test_folders_differ_for_names_that_look_alike_and_are_safe() -> None:
    names = ["a/b", "a b", "A-B", "ä", "..", "con", "x" * 300]
    folders = [cell.folder for cell in all_cells(names, ["none", "corpus"])]
    assert len(set(folders)) == len(folders)
    assert all(name.isascii() and len(name) < 100 and not set(name) & set("/\\. :*") for name in folders)
    one = Cell("none", "pair", ("A",), "B")
    assert one.folder == Cell("none", "pair", ("A",), "B").folder
    assert all(a != b for a, b in pairwise(sorted(folders)))
