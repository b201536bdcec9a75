"""Audio becomes the arrays that voice networks read."""
