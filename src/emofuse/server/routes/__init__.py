"""The routes of API v1, one module per kind of thing."""
