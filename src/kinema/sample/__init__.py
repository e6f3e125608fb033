"""Prompt → video: what was asked (request), the weights, the sampling itself, and the result."""
