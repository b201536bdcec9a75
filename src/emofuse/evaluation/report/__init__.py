"""From the results of a run to its report: one HTML page and two cards."""
