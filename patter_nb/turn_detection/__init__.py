"""Models that judge by the sound whether the person has finished, so that silence alone need not."""
