"""The report of a lot: what it says, in which words, and as PDF.

Read `document.py` (what it says), `conclusion.py` (the words), `pdf.py` (the paper).
"""
