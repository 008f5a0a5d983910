"""Who runs next, as tables, and against brute force on random histories. No clock, no threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anytime.service.engine.scheduler import Scheduler


@dataclass(eq=False)
class Piece:
    """Stands for a piece: all that the scheduler asks of one."""

    batch_limit: int = 1


@dataclass(eq=False)
class Ticket:
    shape: tuple[int, ...] = ()


@dataclass(eq=False)
class Job:
    """Stands for a job: its key, and what it waits for."""

    name: str
    piece: Piece
    number: int
    deadline: float = math.inf
    priority: int = 0
    ticket: Ticket = field(default_factory=Ticket)
    waiting: object = None

    @property
    def key(self) -> tuple[int, float, int, int]:
        return -self.priority, self.deadline, self.number, 0


LONE, PAIRS, MANY = Piece(1), Piece(2), Piece(8)
OTHER = Piece(8)
SHORT, LONG = Ticket((3,)), Ticket((9,))


def filled(*jobs: Job) -> Scheduler:
    scheduler = Scheduler()
    for job in jobs:
        scheduler.put(job)
    return scheduler


def drained(scheduler: Scheduler, idle: int = 0) -> list[str]:
    """The runs until nothing waits, each as its jobs' names."""
    runs = []
    while jobs := scheduler.take(idle):
        runs.append("".join(job.name for job in jobs))
    return runs


ORDERS = {
    "first come": ([Job("a", LONE, 0), Job("b", LONE, 1), Job("c", LONE, 2)], ["a", "b", "c"]),
    "the earliest deadline": ([Job("a", LONE, 0, 9.0), Job("b", LONE, 1, 3.0), Job("c", LONE, 2, 5.0)], ["b", "c", "a"]),
    "a deadline before none": ([Job("a", LONE, 0), Job("b", LONE, 1, 1e9)], ["b", "a"]),
    "equal deadlines: first come": ([Job("b", LONE, 1, 5.0), Job("a", LONE, 0, 5.0)], ["a", "b"]),
    "priority before a deadline": ([Job("a", LONE, 0, 1.0), Job("b", LONE, 1, priority=1)], ["b", "a"]),
    "negative priority last": ([Job("a", LONE, 0, 1.0, priority=-1), Job("b", LONE, 1)], ["b", "a"]),
    "mates share a run": ([Job("a", MANY, 0), Job("b", MANY, 1), Job("c", MANY, 2)], ["abc"]),
    "no more than pays": ([Job(n, PAIRS, i) for i, n in enumerate("abcde")], ["ab", "cd", "e"]),
    "mates jump the queue": ([Job("a", MANY, 0), Job("x", OTHER, 1), Job("b", MANY, 2)], ["ab", "x"]),
    "the most urgent mates": (
        [Job("a", PAIRS, 0, 1.0), Job("b", PAIRS, 1, 9.0), Job("c", PAIRS, 2, 5.0)], ["ac", "b"],
    ),
    "another shape is no mate": (
        [Job("a", MANY, 0, ticket=SHORT), Job("b", MANY, 1, ticket=LONG), Job("c", MANY, 2, ticket=SHORT)], ["ac", "b"],
    ),
    "an equal shape is one": ([Job("a", MANY, 0, ticket=Ticket((3,))), Job("b", MANY, 1, ticket=Ticket((3,)))], ["ab"]),
    "an equal piece of another bundle is no mate": ([Job("a", Piece(8), 0), Job("b", Piece(8), 1)], ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("jobs", "runs"), ORDERS.values(), ids=ORDERS)
def test_runs_in_order(jobs, runs):
    """Priority, deadline, arrival; rows that wait for the same piece in the same shapes run with the most urgent of them."""
    assert drained(filled(*jobs)) == runs


@pytest.mark.parametrize(
    ("waiting", "idle", "taken"), [(8, 0, 8), (8, 1, 4), (8, 3, 2), (8, 7, 1), (8, 20, 1), (5, 1, 3), (1, 3, 1)]
)
def test_idle_workers_get_their_share(waiting, idle, taken):
    """A run takes no more rows than leave work for the workers that are idle."""
    scheduler = filled(*(Job(str(n), MANY, n) for n in range(waiting)))
    assert len(scheduler.take(idle)) == taken
    assert len(scheduler) == waiting - taken


def test_discarded_jobs_never_run():
    """Whoever left waits no longer, wherever it stood; discarding twice, or one that runs, changes nothing."""
    jobs = [Job(name, MANY, n) for n, name in enumerate("abcd")]
    scheduler = filled(*jobs)
    for job in (jobs[0], jobs[2], jobs[2]):
        scheduler.discard(job)
    assert len(scheduler) == 2
    assert drained(scheduler) == ["bd"]
    scheduler.discard(jobs[1])
    assert len(scheduler) == 0


def test_a_job_may_come_back():
    """A row taken along as a mate waits for its next piece under the same key, beside the husk of its first wait."""
    a, b, c = (Job(name, MANY, n) for n, name in enumerate("abc"))
    scheduler = filled(a, b, c)
    assert scheduler.take() == [a, b, c]
    for job in (c, b):
        job.piece = LONE
        scheduler.put(job)
    scheduler.put(a)
    assert drained(scheduler) == ["a", "b", "c"]


def test_who_is_ahead():
    """Those who would run before a newcomer: more urgent, or as urgent and there before; never one who left."""
    jobs = [Job("a", LONE, 0), Job("b", LONE, 1, 5.0), Job("c", MANY, 2, 3.0), Job("d", LONE, 3, priority=1)]
    scheduler = filled(*jobs)
    scheduler.discard(jobs[1])
    assert sorted(job.name for job in scheduler.ahead_of(Job("new", LONE, 9, 4.0).key)) == ["c", "d"]
    assert sorted(job.name for job in scheduler.ahead_of(Job("new", LONE, 9).key)) == ["a", "c", "d"]


@pytest.mark.parametrize("piece", [LONE, MANY], ids=["alone", "in batches"])
def test_those_who_left_are_forgotten(piece):
    """Beside one job that waits for ever, a hundred thousand come and go: what is held stays bounded."""
    scheduler = filled(Job("stays", OTHER, 10**9))
    for n in range(100_000):
        job = Job("goes", piece, n, deadline=1e9 - n)
        scheduler.put(job)
        scheduler.discard(job)
    assert held_by(scheduler) <= 2 * (scheduler.HUSKS + 4)


def test_mates_leave_nothing_behind():
    """Mates taken from behind a job that is never served are forgotten as well."""
    scheduler = filled(Job("waits", OTHER, -1, priority=-1))
    for n in range(0, 30_000, 3):
        scheduler.put(Job("first", MANY, n, priority=1))
        scheduler.put(Job("mate", MANY, n + 1, deadline=1e9 + n))
        scheduler.put(Job("urgent", LONE, n + 2))
        assert [job.name for job in scheduler.take()] == ["first", "mate"]
        assert [job.name for job in scheduler.take()] == ["urgent"]
    assert held_by(scheduler) <= 2 * (scheduler.HUSKS + 4)


def held_by(scheduler: Scheduler) -> int:
    """Entries of any kind, at any depth, that the scheduler keeps."""
    kept = [value for value in vars(scheduler).values() if isinstance(value, list | dict)]
    kept += [value for each in kept if isinstance(each, dict) for value in each.values()]
    return sum(map(len, kept))


class AgainstBruteForce(RuleBasedStateMachine):
    """The scheduler beside a plain list that is sorted whenever somebody asks."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler()
        self.waiting: list[Job] = []
        self.resting: list[Job] = []
        self.count = 0

    @rule(
        piece=st.sampled_from([LONE, PAIRS, MANY, OTHER]), ticket=st.sampled_from([SHORT, LONG]),
        deadline=st.sampled_from([1.0, 2.0, 3.0, math.inf]), priority=st.integers(-1, 1),
    )  # fmt: skip
    def arrives(self, piece, ticket, deadline, priority):
        job = Job(str(self.count), piece, self.count, deadline, priority, ticket)
        self.count += 1
        self.waiting.append(job)
        self.scheduler.put(job)

    @precondition(lambda self: self.resting)
    @rule(pick=st.integers(0, 99), piece=st.sampled_from([LONE, PAIRS, MANY]))
    def comes_back(self, pick, piece):
        job = self.resting.pop(pick % len(self.resting))
        job.piece = piece
        self.waiting.append(job)
        self.scheduler.put(job)

    @precondition(lambda self: self.waiting)
    @rule(pick=st.integers(0, 99))
    def leaves(self, pick):
        self.scheduler.discard(self.waiting.pop(pick % len(self.waiting)))

    @rule(idle=st.integers(0, 3))
    def is_taken(self, idle):
        wanted: list[Job] = []
        if self.waiting:
            first = min(self.waiting, key=lambda job: job.key)
            group = (first.piece, first.ticket.shape)
            mates = [job for job in self.waiting if (job.piece, job.ticket.shape) == group]
            mates.sort(key=lambda job: job.key)
            share = math.ceil(len(mates) / (idle + 1))
            wanted = mates[: min(first.piece.batch_limit, share)]
        assert self.scheduler.take(idle) == wanted
        self.waiting = [job for job in self.waiting if job not in wanted]
        self.resting += wanted

    @invariant()
    def who_goes_on_would_be_chosen(self):
        """A running job that goes on unasked is the one that a choice would have named; one alone always goes on."""
        for job in self.resting:
            if self.scheduler.goes_on(job):
                assert not self.waiting or job.piece.batch_limit == 1
                assert all(job.key < other.key for other in self.waiting)
        if self.resting and not self.waiting and self.scheduler.next_key is None:
            assert all(self.scheduler.goes_on(job) for job in self.resting)

    @invariant()
    def counts(self):
        assert len(self.scheduler) == len(self.waiting)
        ahead = list(self.scheduler.ahead_of((0, 2.0, 0, 0)))
        assert sorted(job.key for job in ahead) == sorted(job.key for job in self.waiting if job.key < (0, 2.0, 0, 0))


AgainstBruteForce.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestAgainstBruteForce = AgainstBruteForce.TestCase


def test_who_goes_on_unasked():
    """Only before everybody who waits, and never past mates that could join its run."""
    early, late = Job("early", LONE, 0, 1.0), Job("late", LONE, 1, 2.0)
    scheduler = filled(late)
    assert scheduler.goes_on(early)
    assert not scheduler.goes_on(Job("later", LONE, 2, 3.0))
    assert not scheduler.goes_on(Job("sociable", PAIRS, 0, 1.0))
    scheduler.take()
    assert scheduler.goes_on(Job("sociable", PAIRS, 9))


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([1.0, 2.0, math.inf])), max_size=40))
def test_lone_pieces_come_out_sorted(asked):
    """Without batches a queue is drained in the order of its keys."""
    jobs = [Job(str(n), LONE, n, deadline, priority) for n, (priority, deadline) in enumerate(asked)]
    assert drained(filled(*jobs)) == [job.name for job in sorted(jobs, key=lambda job: job.key)]
