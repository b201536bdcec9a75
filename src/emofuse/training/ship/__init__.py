"""The recognizer that comes with emofuse: built, checked, described."""
