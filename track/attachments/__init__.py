"""Keep files, artifacts and media with the trials that log them, and find them again."""
