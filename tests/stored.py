"""Read back what a test stored."""


def stored(client):
    """Return the only trial of a client's store."""
    (trial,) = client.protocol.fetch_trials()
    return trial
