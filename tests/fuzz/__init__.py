"""A fuzzer: valid, nearly valid and wild requests of two real users and an admin against a real daemon."""
