from __future__ import annotations

from pathlib import Path

from emofuse.system.source_digest import source_digest


def package(folder: Path, **modules: str) -> Path:
    (folder / "part").mkdir(parents=True)
    for name, text in modules.items():
        (folder / "part" / f"{name}.py").write_bytes(text.encode())
    return folder


def test_the_digest_is_that_of_the_code(tmp_path: Path) -> None:
    one = source_digest(package(tmp_path / "one", a="x = 1\n", b="y = 2\n"))
    assert one == source_digest(package(tmp_path / "two", a="x = 1\r\n", b="y = 2\n"))
    others = [
        source_digest(package(tmp_path / "3", a="x = 2\n", b="y = 2\n")),
        source_digest(package(tmp_path / "4", a="x = 1\n")),
        source_digest(package(tmp_path / "5", a="x = 1\n", c="y = 2\n")),
        source_digest(package(tmp_path / "6", a="x = 1\ny = 2\n", b="")),
    ]
    assert len({one, *others}) == 5
    assert len(source_digest()) == 64
