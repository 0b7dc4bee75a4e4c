"""A day of a lab's traffic in minutes: what must stay flat does."""
