"""A file or a device becomes samples and timed frames."""
