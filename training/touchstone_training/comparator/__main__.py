"""``python -m touchstone_training.comparator``: training on drawn lessons alone.

A machine that only trains needs neither FAISS nor a database.
"""

import typer

from touchstone_training.comparator.drawing import learn

if __name__ == "__main__":
    typer.run(learn)
