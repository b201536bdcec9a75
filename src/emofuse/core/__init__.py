"""Labels, records, recipes, metrics and errors: what every other package speaks of."""
