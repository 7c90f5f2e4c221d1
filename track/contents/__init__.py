"""Keep the contents of files and media, each once, under its SHA-256."""
