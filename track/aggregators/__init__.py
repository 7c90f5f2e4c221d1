"""Keep the values of a metric: the last one, all of them, the latest ones, or statistics."""
