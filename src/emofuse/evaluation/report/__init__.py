"""Results become one HTML page and two cards."""
