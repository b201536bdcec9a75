"""A file of every kind that people record, made here, with what a reader must find in it.

``python -m tests.zoo.make FOLDER`` makes them all to look at; the tests make each where they read it.
"""
