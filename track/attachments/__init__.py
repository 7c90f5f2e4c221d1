"""Keep files, artifacts and media of trials, and find them again."""
