"""Which photos are searched with twice: by the face, then as a whole."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from touchstone.engine.localisation import Face
from touchstone.retrieval import CLEAR_LEAD, Retriever

PHOTO = np.full((90, 120, 3), 128, np.uint8)
FACE = Face(
    quad=np.array([[10, 10], [100, 10], [100, 80], [10, 80]], np.float32),
    confidence=0.9,
)


class _Catalogue:
    """Knows two products, the first far nearer; counts how often it is asked."""

    asked = 0

    def candidates(self, *_: Any) -> tuple[list[Any], str]:
        self.asked += 1
        near = (0.9, 0.8 - CLEAR_LEAD)
        pairs = [
            (
                SimpleNamespace(label=label, similarity=similarity),
                SimpleNamespace(product=SimpleNamespace(id=f"P{label}")),
            )
            for label, similarity in enumerate(near)
        ]
        return pairs, "digest"


@pytest.mark.parametrize(
    ("accept", "rank", "searches"),
    [
        (1.5, 2.0, 1),
        (1.5, 1.0, 2),  # likelier than not, and not accepted: the face may be wrong
        (1.5, -1.0, 2),
        (-0.5, 0.2, 1),
        (-0.5, -0.2, 2),  # accepted, and less likely than not
    ],
)
def test_a_face_whose_match_is_not_accepted_is_doubted(
    monkeypatch: pytest.MonkeyPatch, accept: float, rank: float, searches: int
) -> None:
    def laid_over(_: Retriever, __: Any, pairs: Sequence[Any], ___: Any) -> list[Any]:
        return [
            SimpleNamespace(label=one.label, measurements=lambda: {"rank": rank})
            for one, _ in pairs[:1]
        ]

    monkeypatch.setattr(Retriever, "_laid_over", laid_over)
    catalogue: Any = _Catalogue()
    policy: Any = SimpleNamespace(accept_logit=accept, rank=lambda told: told["rank"])
    localiser: Any = SimpleNamespace(locate=lambda _: FACE)
    caller: Any = None
    near, matches = Retriever(catalogue, policy, localiser).matched(caller, PHOTO, 5)
    assert catalogue.asked == searches
    assert near.is_by_face_alone
    assert [one.label for one in matches] == [0]
