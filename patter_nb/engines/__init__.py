"""Speech to speech: one model that hears, thinks and speaks."""
