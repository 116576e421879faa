"""The embedder: pictures to learn from, the network, its training, its export."""
