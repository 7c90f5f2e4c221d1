"""The relay: what clients and servers say to each other."""
