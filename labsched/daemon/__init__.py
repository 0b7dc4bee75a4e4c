"""The only room where things happen."""
