"""The version of emofuse; pyproject.toml and CITATION.cff hold the same."""

__version__ = "0.1.0"
