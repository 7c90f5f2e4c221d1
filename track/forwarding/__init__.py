"""Keep events and contents on this machine until a remote store has them, and send them there."""
