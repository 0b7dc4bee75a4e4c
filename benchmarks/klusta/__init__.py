"""How fast stage 2 is, and what memory it takes, beside stock klusta."""
