"""The outgoing queue: when a letter is tried, where it goes, what the peer said, and what its sender is told."""
