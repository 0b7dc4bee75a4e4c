"""What labsched costs, side by side with its peers."""
