import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from touchstone.engine.index import IndexEntry, ReferenceIndex, _similarities
from touchstone.errors import IndexDamagedError

DIM = 64


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / lengths, np.float32)


def entry(label: int, *, scope: int = 0, views: int = 4) -> IndexEntry:
    random = np.random.default_rng(label)
    return IndexEntry(label, scope, unit(random.normal(size=(views, DIM))))


def indexed(labels: Sequence[int]) -> ReferenceIndex:
    return ReferenceIndex(DIM).with_added([entry(label) for label in labels])


def query_near(label: int, *, noise: float = 0.05) -> NDArray[np.float32]:
    row = entry(label).vectors[0]
    return unit(row + np.random.default_rng(99 + label).normal(0, noise, DIM))


# --- search ---------------------------------------------------------------------------


def test_search_with_all_rows_ranked_is_the_exact_inner_product() -> None:
    entries = [entry(label, scope=label % 3) for label in range(1, 400)]
    index = ReferenceIndex(DIM).with_added(entries)
    scope = index.scope()
    rows = np.stack([e.vectors.astype(np.float16) for e in entries]).astype(np.float32)
    for seed in range(5000, 5020):
        query = unit(np.random.default_rng(seed).normal(size=DIM))
        exact = (rows @ query).max(axis=1)
        order = np.lexsort((np.arange(len(exact)), -exact))[:10]
        found = index.search(query, k=10, scope=scope, rerank_rows=len(index))
        assert [n.label for n in found] == [int(at) + 1 for at in order]
        np.testing.assert_allclose(
            [n.similarity for n in found], exact[order], atol=1e-5
        )


def test_the_code_scan_finds_what_is_near_among_thousands() -> None:
    index = indexed(range(1, 1501))
    scope = index.scope()
    found = [
        index.search(query_near(label), k=1, scope=scope)[0].label
        for label in range(1, 201)
    ]
    assert found == list(range(1, 201))


def test_a_poor_photo_finds_what_exact_search_finds() -> None:
    rng = np.random.default_rng(64)
    rows = unit(rng.normal(size=(20_000, DIM))).astype(np.float16).astype(np.float32)
    index = ReferenceIndex(DIM).with_added(
        [IndexEntry(label, 0, row[np.newaxis]) for label, row in enumerate(rows)]
    )
    chosen = rows[rng.integers(0, len(rows), 300)]
    away = rng.normal(size=chosen.shape)
    away -= (away * chosen).sum(axis=1, keepdims=True) * chosen
    queries = np.asarray(0.7 * chosen + np.sqrt(1 - 0.7**2) * unit(away), np.float32)
    scope = index.scope()
    found = [index.search(query, k=1, scope=scope)[0].label for query in queries]
    assert (np.array(found) == (queries @ rows.T).argmax(axis=1)).mean() >= 0.99


def test_how_the_rows_came_in_does_not_show_in_the_answer() -> None:
    labels = np.arange(1, 2001)
    whole = indexed(labels.tolist())
    np.random.default_rng(1).shuffle(labels)
    parts = ReferenceIndex(DIM)
    for some in np.split(labels, 40):
        parts = parts.with_added([entry(int(label)) for label in some])
    assert len(parts._segments) > 1
    for seed in range(20):
        query = unit(np.random.default_rng(9000 + seed).normal(size=DIM))
        answers = [
            index.search(query, k=20, scope=index.scope(), rerank_rows=24)
            for index in (whole, parts)
        ]
        assert [n.label for n in answers[0]] == [n.label for n in answers[1]]


def test_more_equal_rows_than_are_scanned_are_still_found() -> None:
    vectors = entry(1).vectors[:1]
    index = ReferenceIndex(DIM).with_added(
        [IndexEntry(label, 0, vectors) for label in range(3000)]
    )
    found = index.search(vectors[0], k=5, scope=index.scope(), rerank_rows=16)
    assert len({n.label for n in found}) == 5
    assert all(n.similarity == pytest.approx(1, abs=1e-3) for n in found)


def test_halves_become_floats_as_numpy_has_it() -> None:
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    query = np.ones(1, np.float32)
    exact = finite.astype(np.float32)
    np.testing.assert_array_equal(_similarities(finite[:, np.newaxis], query), exact)


def test_a_reference_is_named_once_with_its_best_view() -> None:
    index = indexed([1, 2])
    found = index.search(entry(2).vectors[3], k=5, scope=index.scope())
    assert [n.label for n in found] == [2, 1]
    assert found[0].similarity == pytest.approx(1, abs=1e-3)


def test_equal_similarities_are_ranked_by_label() -> None:
    vectors = entry(1).vectors
    entries = [IndexEntry(label, 0, vectors) for label in (9, 3, 7)]
    index = ReferenceIndex(DIM).with_added(entries)
    found = index.search(vectors[0], k=3, scope=index.scope())
    assert [n.label for n in found] == [3, 7, 9]


def test_an_empty_index_finds_nothing() -> None:
    index = ReferenceIndex(DIM)
    assert index.search(query_near(1), k=5, scope=index.scope()) == []
    assert len(index) == 0
    assert index.labels == frozenset()


@given(
    allowed=st.lists(st.booleans(), max_size=6),
    seed=st.integers(0, 1000),
    gone=st.sets(st.integers(1, 60), max_size=20),
)
def test_a_search_never_leaves_its_scope(
    allowed: list[bool], seed: int, gone: set[int]
) -> None:
    entries = [entry(label, scope=label % 6) for label in range(1, 61)]
    index = ReferenceIndex(DIM).with_added(entries[:40]).with_added(entries[40:])
    index = index.without(gone)
    query = unit(np.random.default_rng(seed).normal(size=DIM))
    found = index.search(
        query, k=60, scope=index.scope(np.array(allowed, bool)), rerank_rows=1000
    )
    expected = {
        e.label
        for e in entries
        if e.scope < len(allowed) and allowed[e.scope] and e.label not in gone
    }
    assert {n.label for n in found} == expected


# --- change ---------------------------------------------------------------------------


def test_adding_and_removing_leave_the_old_index_as_it_was() -> None:
    old = indexed([1, 2, 3])
    scope = old.scope()
    new = old.without([2]).with_added([entry(4)])
    assert old.labels == {1, 2, 3}
    assert new.labels == {1, 3, 4}
    assert old.search(query_near(2), k=1, scope=scope)[0].label == 2
    assert new.search(query_near(2), k=1, scope=new.scope())[0].label != 2


def test_a_removed_reference_may_come_back_with_other_vectors() -> None:
    index = indexed([1, 2]).without([1])
    index = index.with_added([IndexEntry(1, 0, entry(50).vectors)])
    found = index.search(query_near(50), k=1, scope=index.scope())
    assert found[0].label == 1
    assert len(index) == 8


def test_small_segments_are_merged_and_nothing_is_lost() -> None:
    index = ReferenceIndex(DIM)
    for label in range(1, 201):
        index = index.with_added([entry(label)])
    assert index.labels == set(range(1, 201))
    assert len(index._segments) < 12
    scope = index.scope()
    for label in (1, 77, 200):
        assert index.search(query_near(label), k=1, scope=scope)[0].label == label


HISTORIES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=30
)


@given(HISTORIES, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_digest_is_that_of_the_content_and_not_of_its_history(
    history: list[tuple[bool, int]], shuffled: random.Random
) -> None:
    index, live = ReferenceIndex(DIM), set[int]()
    for is_added, label in history:
        index = index.without([label])
        live.discard(label)
        if is_added:
            index = index.with_added([entry(label)])
            live.add(label)
    labels = sorted(live)
    shuffled.shuffle(labels)
    assert index.labels == live
    assert index.digest == indexed(labels).digest


def test_the_digest_tells_vectors_and_labels_apart() -> None:
    digests = {
        indexed([1, 2]).digest,
        indexed([1, 3]).digest,
        ReferenceIndex(DIM)
        .with_added([IndexEntry(1, 0, entry(2).vectors), entry(3)])
        .digest,
        ReferenceIndex(DIM).digest,
        ReferenceIndex(2 * DIM).digest,
    }
    assert len(digests) == 5


# --- bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[], [5], range(1, 50)])
def test_what_was_written_is_read_back(labels: Sequence[int]) -> None:
    index = indexed(labels).without([7]).with_added([entry(60, scope=2)])
    again = ReferenceIndex.from_bytes(index.to_bytes())
    assert again.digest == index.digest
    assert again.labels == index.labels
    allowed = np.array([True, False, True])
    for label in (1, 5, 60):
        assert again.search(
            query_near(label), k=20, scope=again.scope(allowed)
        ) == index.search(query_near(label), k=20, scope=index.scope(allowed))


def test_what_is_no_snapshot_is_refused() -> None:
    data = indexed([1, 2]).to_bytes()
    for damaged in (b"", b"no snapshot", data[: len(data) // 2]):
        with pytest.raises(IndexDamagedError):
            ReferenceIndex.from_bytes(damaged)


# --- many threads at once (promise R6) ------------------------------------------------


def test_searching_while_references_come_and_go_is_safe_and_current() -> None:
    current = [indexed(range(1, 201))]
    removed: list[int] = []
    is_over = threading.Event()

    def change() -> None:
        # A thousand references come, and each leaves twenty later.
        for label in range(201, 1201):
            index = current[0].with_added([entry(label)])
            current[0] = index.without([label - 20])
            removed.append(label - 20)
        is_over.set()

    def search(seed: int) -> int:
        searches = 0
        query = query_near(seed)
        while not is_over.is_set() or searches < 100:
            gone = len(removed)
            index = current[0]
            found = index.search(query, k=300, scope=index.scope(), rerank_rows=2000)
            assert not {n.label for n in found} & set(removed[:gone])
            assert len(found) >= 200
            searches += 1
        return searches

    with ThreadPoolExecutor(9) as threads:
        changing = threads.submit(change)
        searching = [threads.submit(search, seed) for seed in range(1, 9)]
        changing.result(timeout=60)
        assert sum(one.result(timeout=60) for one in searching) >= 800
    assert current[0].labels == set(range(1, 181)) | set(range(1181, 1201))
