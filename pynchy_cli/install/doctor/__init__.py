"""`pynchy doctor`: a check for each cause of failure that is known, each with a stable id. Checks
only look; what they find says what was seen, what to do, and which command shows it."""
