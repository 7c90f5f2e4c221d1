"""Define events, and how they are encoded and framed."""
