"""The command line: one file a command. `retrograd.cli.main` holds the entry point."""
