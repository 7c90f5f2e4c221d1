"""Record the process that runs a trial: command, code, machine, heartbeats and failures."""
