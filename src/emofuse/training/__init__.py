"""Networks, fusion and bundles are fitted here."""
