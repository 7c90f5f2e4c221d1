"""The checker of histories itself: what it must accept, what it must reject, and how it says so."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.linearizability import (
    Claims,
    Counter,
    Operation,
    Recorder,
    Register,
    Reservations,
    check,
)

RESERVE, READ = ("reserve",), ("read",)


def release(uid):
    return ("release", uid)


def claim(name):
    return ("claim", name)


def swap(before, after):
    return ("swap", before, after)


def history(*rows):
    """Return operations from rows of beginning, end, call and result, each by a process."""
    return [Operation(f"p{number}", *row) for number, row in enumerate(rows)]


GOOD = {
    "nothing": (Register("a"), history()),
    "one after the other": (
        Register("a"),
        history((0, 1, READ, "a"), (2, 3, swap("a", "b"), True), (4, 5, READ, "b")),
    ),
    "a read during a swap sees the old value": (
        Register("a"),
        history((0, 9, swap("a", "b"), True), (1, 2, READ, "a"), (3, 4, READ, "b")),
    ),
    "the later of two swaps comes first": (
        Register("a"),
        history((0, 9, swap("b", "c"), True), (1, 8, swap("a", "b"), True), (10, 11, READ, "c")),
    ),
    "one of two swaps fails": (
        Register("a"),
        history((0, 9, swap("a", "b"), True), (0, 9, swap("a", "b"), False)),
    ),
    "times that touch may be at once": (
        Register("a"),
        history((0, 5, swap("a", "b"), True), (5, 6, READ, "a")),
    ),
    "a trial that is released is reserved again": (
        Reservations(["x"]),
        history((0, 1, RESERVE, "x"), (2, 9, release("x"), True), (3, 4, RESERVE, "x")),
    ),
    "none is free between a reservation and a release": (
        Reservations(["x"]),
        history(
            (0, 1, RESERVE, "x"),
            (2, 9, release("x"), True),
            (3, 4, RESERVE, None),
            (5, 6, RESERVE, "x"),
        ),
    ),
    "what is free is not released": (
        Reservations(["x"]),
        history((0, 1, release("x"), False), (2, 3, RESERVE, "x")),
    ),
    "a name is taken by the one who was first": (
        Claims(),
        history((0, 9, claim("x"), False), (1, 2, claim("x"), True), (3, 4, claim("y"), True)),
    ),
    "numbers in the order of the calls": (
        Counter(),
        history((0, 9, ("make",), 1), (1, 2, ("make",), 0), (10, 11, ("make",), 2)),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_has_an_order_is_accepted(name):
    """Overlapping calls may have taken place either way round."""
    specification, operations = GOOD[name]
    assert check(operations, specification) is None


BAD = {
    "a lost update: two swaps of one value succeed": (
        Register("a"),
        history((0, 9, swap("a", "b"), True), (1, 8, swap("a", "c"), True), (10, 11, READ, "c")),
        "swap('a', ",
    ),
    "a swap that was acknowledged is undone": (
        Register("a"),
        history((0, 1, swap("a", "b"), True), (2, 3, READ, "a")),
        "read() -> 'a'",
    ),
    "a stale read: the new value was seen before": (
        Register("a"),
        history((0, 9, swap("a", "b"), True), (1, 2, READ, "b"), (3, 4, READ, "a")),
        "read() -> 'a'",
    ),
    "a swap that fails though nothing else happened": (
        Register("a"),
        history((0, 1, swap("a", "b"), False)),
        "swap('a', 'b') -> False",
    ),
    "a double reservation": (
        Reservations(["x", "y"]),
        history((0, 9, RESERVE, "x"), (1, 8, RESERVE, "x")),
        "reserve() -> 'x'",
    ),
    "a reservation of what is released only later": (
        Reservations(["x"]),
        history((0, 1, RESERVE, "x"), (2, 3, RESERVE, "x"), (4, 5, release("x"), True)),
        "reserve() -> 'x' by p1",
    ),
    "none, while one was free throughout": (
        Reservations(["x", "y"]),
        history((0, 9, RESERVE, "x"), (1, 8, RESERVE, None)),
        "reserve() -> None",
    ),
    "not the oldest": (
        Reservations(["x", "y"]),
        history((0, 1, RESERVE, "y")),
        "reserve() -> 'y'",
    ),
    "a name that two have taken": (
        Claims(),
        history((0, 9, claim("x"), True), (1, 8, claim("x"), True)),
        "claim('x') -> True",
    ),
    "a name that nobody has taken": (
        Claims(),
        history((0, 1, claim("x"), False), (2, 3, claim("x"), True)),
        "claim('x') -> False",
    ),
    "a number twice": (
        Counter(),
        history((0, 9, ("make",), 0), (0, 9, ("make",), 0)),
        "make() -> 0",
    ),
    "a number too early": (
        Counter(),
        history((0, 1, ("make",), 1), (2, 3, ("make",), 0)),
        "make() -> 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_order_is_rejected(name):
    """The explanation names a call that cannot have had its result."""
    specification, operations, culprit = BAD[name]
    violation = check(operations, specification)
    assert violation is not None
    assert any(culprit in str(operation) for operation in violation.stuck)
    assert culprit in str(violation)


def test_the_explanation_leaves_out_what_does_not_matter():
    """Calls that only looked, and all that came after the contradiction, are not in it."""
    before = [Operation("reader", t, t + 0.5, READ, "a") for t in range(10)]
    swaps = history((20, 21, swap("a", "b"), True), (22, 30, swap("a", "c"), True))
    after = [Operation("reader", t, t + 0.5, READ, "c") for t in range(40, 50)]
    violation = check([*after, *swaps, *before], Register("a"))
    assert violation.order == swaps[:1]
    assert violation.state == "b"
    assert violation.stuck == swaps[1:]
    assert str(violation).splitlines()[1:] == [
        "  swap('a', 'b') -> True by p0, from 20 to 21",
        "leaves 'b'. Then one of these would have to come, and cannot:",
        "  swap('a', 'c') -> True by p1, from 22 to 30",
    ]


def test_a_call_under_way_can_explain_what_others_saw():
    """The shortest beginning that makes no sense counts calls that had begun by then."""
    operations = history(
        (0, 50, swap("a", "b"), True), (1, 2, READ, "b"), (3, 4, READ, "b"), (5, 6, READ, "a")
    )
    violation = check(operations, Register("a"))
    assert {operation.call for operation in violation.order} == {swap("a", "b"), READ}
    assert [operation.result for operation in violation.stuck] == ["a"]


def test_a_long_history_of_many_processes_is_decided():
    """Twelve calls at a time, a thousand in all, are no trouble."""
    operations = [
        Operation(f"p{number % 12}", 10 * number, 10 * number + 115, ("make",), number)
        for number in range(1000)
    ]
    assert check(operations, Counter()) is None
    doubled = [*operations[:-1], operations[-1]._replace(result=500)]
    assert check(doubled, Counter()).stuck == doubled[-1:]


def test_a_recorder_notes_when_a_call_was():
    """Each operation has the times around the call, what it was, and what came back."""
    recorder = Recorder("me")
    assert recorder.record(("read",), lambda: "a") == "a"
    assert recorder.record(("read",), lambda: "b") == "b"
    first, second = recorder.operations
    assert first.invoked <= first.returned <= second.invoked <= second.returned
    assert (second.process, second.call, second.result) == ("me", ("read",), "b")


# Against a model, and against trying every order


values = st.sampled_from("abc")
uids = st.sampled_from(["x", "y", "z"])
SPECIFICATIONS = {
    "register": (Register("a"), st.just(READ) | st.builds(swap, values, values)),
    "reservations": (
        Reservations(["x", "y", "z"]),
        st.just(RESERVE) | st.builds(release, uids),
    ),
    "counter": (Counter(), st.just(("make",))),
}


def results_of(specification):
    """Return what a call may come back with; to Python, 0 and False would be the same."""
    if isinstance(specification, Counter):
        return range(50)
    return [True, False, None, *"abcxyz"]


@st.composite
def histories(draw, longest):
    """Run a model, one call after the other, with times around the moment of each call."""
    specification, calls = SPECIFICATIONS[draw(st.sampled_from(sorted(SPECIFICATIONS)))]
    state, operations = specification.initial, []
    for number, call in enumerate(draw(st.lists(calls, max_size=longest))):
        # A model has one answer to a call: of all results the specification allows only that.
        (result,) = (
            result
            for result in results_of(specification)
            if specification.step(state, call, result) is not None
        )
        state = specification.step(state, call, result)
        early, late = draw(st.integers(0, 45)), draw(st.integers(0, 45))
        moment = 10 * number
        operations.append(Operation(f"p{number}", moment - early, moment + late, call, result))
    return specification, draw(st.permutations(operations))


@given(histories(longest=40))
def test_what_a_model_did_is_accepted(generated):
    """Whatever overlaps, the order in which it was really done explains it."""
    specification, operations = generated
    assert check(operations, specification) is None


def has_an_order(operations, specification):
    """Try every order there is."""
    for order in permutations(operations):
        state = specification.initial
        for index, operation in enumerate(order):
            if any(later.returned < operation.invoked for later in order[index + 1 :]):
                break
            state = specification.step(state, operation.call, operation.result)
            if state is None:
                break
        else:
            return True
    return False


@given(histories(longest=6).filter(lambda generated: generated[1]), st.data())
def test_a_changed_result_is_rejected_where_it_must_be(generated, data):
    """The verdict on a history with some other result is that of trying every order."""
    specification, operations = generated
    index = data.draw(st.integers(0, len(operations) - 1))
    result = data.draw(st.sampled_from(results_of(specification)))
    operations[index] = operations[index]._replace(result=result)
    violation = check(operations, specification)
    assert (violation is None) == has_an_order(operations, specification)


@given(histories(longest=40).filter(lambda generated: generated[1]), st.data())
def test_a_result_that_nothing_could_give_is_always_rejected(generated, data):
    """One value that was never there spoils the history, and is in the explanation."""
    specification, operations = generated
    index = data.draw(st.integers(0, len(operations) - 1))
    operations[index] = operations[index]._replace(result="never")
    violation = check(operations, specification)
    assert operations[index].process in {operation.process for operation in violation.stuck}
