"""emofuse as a recognizer of ELAN: the package that ELAN finds, and what is said when ELAN starts it."""
