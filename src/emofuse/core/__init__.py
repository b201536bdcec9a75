"""The vocabulary: labels, records, recipes, metrics and errors."""
