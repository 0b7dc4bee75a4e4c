"""Several people on one machine: real users, a daemon of root's, and all that one must not do to the other."""
