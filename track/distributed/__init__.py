"""Start database servers from a script."""
