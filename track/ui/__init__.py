"""The page of a store in a browser: a small server over what readers give, and static files."""
