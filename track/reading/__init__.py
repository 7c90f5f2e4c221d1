"""Read trials of a store: summaries, pages, views, history and media."""
