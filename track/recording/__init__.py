"""Parts of the logger of a trial: files, media, timers, and the end of a trial."""
