"""What the embedding is asked for: products apart, views together, the sphere used."""

import torch
from torch.nn import functional


def supervised_contrastive(
    vectors: torch.Tensor,
    labels: torch.Tensor,
    *,
    temperature: float,
) -> torch.Tensor:
    """Supervised contrastive loss, the sum outside the logarithm (Khosla, 2020).

    Args:
        vectors: (n, dim) unit vectors, at least two of each label.
        labels: (n,) product numbers.
        temperature: the smaller, the more the hardest negatives count.

    Returns:
        The mean over all pairs of one product, a scalar.
    """
    logits = vectors @ vectors.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = (labels[:, None] == labels[None, :]) & ~itself
    logits = logits.masked_fill(itself, -torch.inf)
    # No memory of earlier batches: tried, and within fifty steps the network learned to
    # drift away from its own past (mean similarity of strangers from 0.04 to 0.5).
    log_likelihood = logits - logits.logsumexp(dim=1, keepdim=True)
    return -log_likelihood[same].mean()


def koleo(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Spread the products over the sphere (Sablayrolles 2019; SSCD uses the same).

    The mean of -log of the distance from each vector to the nearest one of another
    product: 256-bit sign codes can only tell apart what is spread out.
    """
    similarity = vectors @ vectors.T
    same = labels[:, None] == labels[None, :]
    nearest = similarity.masked_fill(same, -2.0).amax(dim=1)
    distance = (2 - 2 * nearest).clamp(min=1e-6).sqrt()
    return -distance.log().mean()


def similarity_statistics(
    vectors: torch.Tensor, labels: torch.Tensor
) -> dict[str, float]:
    """Summarise cosine similarities within a batch, for the log."""
    similarity = functional.normalize(vectors.detach()) @ vectors.detach().T
    itself = torch.eye(len(labels), dtype=torch.bool)
    same = labels[:, None] == labels[None, :]
    positive, negative = similarity[same & ~itself], similarity[~same]
    hardest = similarity.masked_fill(same, -2.0).amax(dim=1)
    return {
        "positive_mean": float(positive.mean()),
        "positive_p10": float(positive.quantile(0.1)),
        "negative_mean": float(negative.mean()),
        "negative_p99": float(negative.quantile(0.99)),
        "hardest_negative_mean": float(hardest.mean()),
    }
