"""How fast stage 1 is, and what memory it takes, beside its peers and a plain copy of the file."""
