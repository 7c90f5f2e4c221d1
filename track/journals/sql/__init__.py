"""Events in a table of CockroachDB or PostgreSQL."""
