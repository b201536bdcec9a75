"""Signals: samples become a voice segment, pictures become a face track."""
