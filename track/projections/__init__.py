"""The read side: pure folds of events into what people ask for. No clock, no file, no chance."""
