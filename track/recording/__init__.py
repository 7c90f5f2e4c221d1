"""Hold parts of the logger of a trial: files, media, times, and how the trial ends."""
