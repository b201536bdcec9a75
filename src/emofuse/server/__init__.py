"""The local service: an HTTP API over recognizers, timelines and exports."""
