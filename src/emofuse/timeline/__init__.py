"""Long and live recordings become windows, then segments."""
