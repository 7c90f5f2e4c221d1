"""Care of stores on disk."""
