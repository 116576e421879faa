"""Packages that never were: their artwork, forgery, printing and photography."""
