"""The recogniser that comes with emofuse: built, checked, described."""
