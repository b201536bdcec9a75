"""Files, processes and downloads."""
