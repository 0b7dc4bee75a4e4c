"""The command line: one file per group of verbs, each imported when its verb is run."""
