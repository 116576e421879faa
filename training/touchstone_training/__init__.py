"""Everything that makes the models: simulation, training, evaluation, export."""
