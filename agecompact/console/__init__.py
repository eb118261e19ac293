"""What verbs share on a terminal: options, progress, tables."""
