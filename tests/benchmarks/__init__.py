"""What is measured, and printed by `make bench`: medians, and ratios within one run, since
machines are noisy. Nothing here is a test; goals stand beside the figures."""
