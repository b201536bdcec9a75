"""A trained bundle and recordings → predictions."""
