"""``python -m touchstone_training.localiser``: these commands, without all others.

A machine that only trains needs neither FAISS nor what reads codes and draws artwork.
"""

from touchstone_training.localiser.commands import app

if __name__ == "__main__":
    app()
