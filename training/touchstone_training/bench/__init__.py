"""The speed benchmark: figures, bed, stages, throughput, serving, search, suite."""
