"""The learned comparator: pairs to learn from, the network, training, export."""
