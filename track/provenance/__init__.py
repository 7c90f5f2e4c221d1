"""Record which process runs a trial: its command, code and machine, its heartbeats and failures."""
