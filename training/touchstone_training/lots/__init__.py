"""Trials of the work on seized lots: deaths, pace, memory."""
