"""Writing the results of stage 1."""
