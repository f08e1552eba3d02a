"""The settings, from the environment to the last line of refusal."""
