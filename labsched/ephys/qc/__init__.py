"""What came of a sorting: its units read back, their quality, and labels."""
