"""Keep the objects that the events of a store produce, in memory and in a cache on disk."""
