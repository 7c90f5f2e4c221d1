"""How the values of one metric are kept: the last one, all of them, some of them, or statistics."""
