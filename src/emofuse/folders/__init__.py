"""Many recordings become a folder of results."""
