"""Show trials as tables that fit a terminal or a notebook."""
