"""Embeddings of one's own: from an ONNX file, or from a table."""
