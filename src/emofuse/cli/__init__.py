"""The commands of the command line, one module a group: they parse, call and print."""
