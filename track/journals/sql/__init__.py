"""Keep events in tables of CockroachDB or PostgreSQL."""
