"""Keep what the events of a store add up to, in memory and in a cache on disk."""
