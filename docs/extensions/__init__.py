"""What the site makes of the package: pages of commands, recipes and routes, and links between pages."""
