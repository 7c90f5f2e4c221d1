"""The write side: events, how they are encoded and framed, and the journals that keep them."""
