"""The counts of an evaluation that the service needs: ``models/validation.json``."""

from typing import Any

from touchstone.engine.record import Document


def validation_document(evaluation: Document) -> Document:
    """Return how often the finding was inconsistent, by what the items really were.

    Of simulated photographs of unseen designs, careful and hard ones together. By kind
    of counterfeit, and genuine ones by design: how often a lot's own kind is seen, or
    its own product called though genuine, cannot be known, only how much they differ.
    """
    both = evaluation["simulated"]["both"]
    decisions: Any = both["decisions"]
    products: Any = evaluation["products"]
    return {
        "format": 1,
        "policy": evaluation["policy"],
        "commit": evaluation["commit"],
        "items": "simulated photographs of unseen designs, careful and hard",
        "genuine": products["per_design"],
        "genuine_abstained": products["abstained"]["hits"],
        "counterfeit": [
            {
                "kind": kind,
                "inconsistent": one["called_inconsistent"]["hits"],
                "answered": one["called_inconsistent"]["total"],
            }
            for kind, one in sorted(both["per_kind"].items())
        ],
        "counterfeit_abstained": decisions["counterfeit"]["abstained"]["hits"],
    }
