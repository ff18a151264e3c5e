"""Rows that are read block by block in each epoch."""

import gc
import threading
import weakref
from dataclasses import replace

import pytest
import torch
from _properties import random_batch, random_encoding
from test_training import labelled

from skmtl._network import ColumnEncoder
from skmtl._rows import Rows
from skmtl._training import StreamedRows, prefetched
from skmtl._training import _streamed_rows as module

N_BLOCKS, BLOCK_ROWS = 12, 10
N_ROWS = N_BLOCKS * BLOCK_ROWS


def block(number):
    """Rows that are numbered, so that they can be told apart."""
    first = number * BLOCK_ROWS
    x = torch.arange(first, first + BLOCK_ROWS, dtype=torch.float64)[:, None]
    return labelled(x, torch.zeros(BLOCK_ROWS, 4, dtype=torch.int8))


def rows(read=None, **changes):
    read = read or (lambda number: iter([block(number)]))
    return StreamedRows(read, N_BLOCKS, N_ROWS, 1, **changes)


def random_order():
    generator = torch.Generator().manual_seed(0)
    return lambda n: torch.randperm(n, generator=generator)


def numbers_of(pieces):
    return [piece.data.rows.X[piece.rows, 0].long().tolist() for piece in pieces]


@pytest.fixture
def small_buffer(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", 4 * 30)  # of 30 rows


@pytest.mark.usefixtures("small_buffer")
@pytest.mark.parametrize("batch_size", [1, 7, 10, 64, 500])
def test_an_epoch_has_each_row_once_in_whole_batches(batch_size):
    order = random_order()
    epochs = []
    for _ in range(2):
        pieces = numbers_of(rows().epoch(order, batch_size))
        assert all(len(piece) % batch_size == 0 for piece in pieces[:-1])
        epochs.append([number for piece in pieces for number in piece])
        assert sorted(epochs[-1]) == list(range(N_ROWS))
    assert epochs[0] != epochs[1]


@pytest.mark.usefixtures("small_buffer")
def test_without_a_shuffle_rows_come_as_they_are():
    pieces = numbers_of(rows().epoch(torch.arange, 7))
    assert [n for piece in pieces for n in piece] == list(range(N_ROWS))


@pytest.mark.usefixtures("small_buffer")
def test_rows_of_several_blocks_mix():
    first = numbers_of(rows().epoch(random_order(), 10))[0]
    of_blocks = [number // BLOCK_ROWS for number in first]
    assert len(set(of_blocks)) >= 3
    assert len(set(of_blocks[:10])) >= 2
    assert sorted(set(of_blocks)) != of_blocks[:3]


@pytest.mark.usefixtures("small_buffer")
def test_memory_holds_a_few_blocks():
    alive = set()
    most = 0

    def read(number):
        nonlocal most
        data = block(number)
        alive.add(number)
        weakref.finalize(data, alive.discard, number)
        most = max(most, len(alive))
        yield data

    for _ in rows(read).epoch(random_order(), 10):
        gc.collect()
    assert most <= 6  # three in the buffer, one read ahead, one on its way
    gc.collect()
    assert not alive


def test_held_out_rows_come_in_order():
    streamed = rows(read_held_out=lambda number: iter([block(number)]))
    assert streamed.is_validating
    found = [n for piece in numbers_of(streamed.held_out()) for n in piece]
    assert found == list(range(N_ROWS))
    assert not rows().is_validating
    assert list(rows().held_out()) == []


def test_rows_that_are_lost_are_an_error():
    def read(number):
        return iter([block(number)] if number else [])

    with pytest.raises(ValueError, match="had 120 labelled rows at first and 110"):
        list(rows(read).epoch(torch.arange, 10))


def test_an_error_of_the_reader_comes_through_and_ends_its_thread():
    def read(number):
        if number == 5:
            raise OSError("the disk is gone")
        return iter([block(number)])

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        list(rows(read).epoch(torch.arange, 10))
    assert threading.active_count() == before


def test_an_epoch_that_is_left_ends_the_thread():
    before = threading.active_count()
    pieces = rows().epoch(random_order(), 10)
    next(pieces)
    pieces.close()
    assert threading.active_count() == before


def test_the_next_item_is_made_while_one_is_used():
    is_made = [threading.Event() for _ in range(3)]

    def items():
        for event in is_made:
            event.set()
            yield 1

    for i, _ in enumerate(prefetched(items())):
        if i + 1 < len(is_made):
            assert is_made[i + 1].wait(timeout=30)


def test_places_are_those_of_the_whole():
    X, _ = random_batch((2,), 4, n_samples=N_ROWS)
    encoder = ColumnEncoder(random_encoding(4, n_bins=5))

    def read(number):
        x = X[number * BLOCK_ROWS : (number + 1) * BLOCK_ROWS]
        data = labelled(x, torch.zeros(BLOCK_ROWS, 4, dtype=torch.int8))
        yield replace(data, rows=Rows(x, encoded=True))

    streamed = StreamedRows(read, N_BLOCKS, N_ROWS, 4).placed(encoder, torch.zeros(1))
    (piece,) = streamed.epoch(torch.arange, 10)
    assert torch.equal(piece.data.rows.X, encoder.place(X).values)
