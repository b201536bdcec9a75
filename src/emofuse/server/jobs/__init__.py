"""Durable jobs: a database of them, their files, who runs them, and how long they are kept."""
