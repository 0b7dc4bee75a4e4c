"""Bad channels: found from a bounded sample of a block, named with the reason, and drawn."""
