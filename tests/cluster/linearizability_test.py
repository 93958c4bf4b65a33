"""The checker of histories, with good ones, bad ones, and thousands of small ones that are also tried in every order."""
import random
import unittest

from linearizability import READ, WRITE, Operation, violation


def w(value, start, end=None):
    return Operation(WRITE, value, start, end)


def r(value, start, end=None):
    return Operation(READ, value, start, end)


def some_order_fits(history, initial=None):
    """The definition itself: tries all orders. For short histories."""
    done = [op for op in history if op.end is not None]
    maybe = [op for op in history if op.end is None and op.kind == WRITE]

    def search(left, open_, value):
        if not left:
            return True
        first_end = min(op.end for op in left)
        for op in left:
            if op.start <= first_end and (op.kind == WRITE or op.value == value):
                if search([o for o in left if o is not op], open_, op.value if op.kind == WRITE else value):
                    return True
        for op in open_:
            if op.start <= first_end and search(left, [o for o in open_ if o is not op], op.value):
                return True
        return False

    return search(done, maybe, initial)


def random_history(chance):
    """Up to eight operations of three clients: either as a register would answer, with a mistake now and then, or anything."""
    honest = chance.random() < 0.7
    free, value, history, number = [0, 0, 0], None, [], 0
    effects = []
    for _ in range(chance.randrange(1, 9)):
        client = chance.randrange(3)
        start = free[client] + chance.randrange(3)
        end = start + chance.randrange(1, 6)
        effects.append((start + chance.random() * (end - start), client, start, end))
        free[client] = end + chance.randrange(2)
    for _, _, start, end in sorted(effects):
        unknown = chance.random() < 0.2
        if chance.random() < 0.45:
            number += 1
            history.append(w(number, start, None if unknown else end))
            if not unknown or chance.random() < 0.5:
                value = number
        else:
            seen = value if honest and chance.random() < 0.9 else chance.choice([None, *range(1, number + 2)])
            history.append(r(seen, start, end))
    return history


class Linearizability(unittest.TestCase):
    def good(self, *history, initial=None):
        self.assertIsNone(violation(history, initial))
        self.assertTrue(some_order_fits(history, initial))

    def bad(self, *history, initial=None):
        self.assertIsInstance(violation(history, initial), str)
        self.assertFalse(some_order_fits(history, initial))

    def test_nothing_and_one_after_the_other(self):
        self.good()
        self.good(w(1, 0, 1), r(1, 2, 3), w(2, 4, 5), r(2, 6, 7))
        self.good(r(None, 0, 1), w(1, 2, 3))
        self.good(r("old", 0, 1), w(1, 2, 3), r(1, 4, 5), initial="old")

    def test_a_read_during_a_write_sees_either(self):
        self.good(w(1, 0, 1), w(2, 2, 10), r(1, 3, 4), r(2, 5, 6))
        self.good(w(1, 0, 1), w(2, 2, 10), r(2, 3, 4), r(2, 5, 6))

    def test_a_stale_read(self):
        self.bad(w(1, 0, 1), w(2, 2, 3), r(1, 4, 5))
        self.bad(w(1, 0, 1), r(None, 2, 3))

    def test_a_value_goes_back_between_two_reads(self):
        self.bad(w(1, 0, 1), w(2, 2, 10), r(2, 3, 4), r(1, 5, 6))

    def test_two_readers_disagree_on_the_order_of_two_writes(self):
        self.bad(w(1, 0, 10), w(2, 0, 10), r(1, 11, 12), r(2, 13, 14), r(1, 15, 16))
        self.good(w(1, 0, 10), w(2, 0, 10), r(1, 11, 12), r(1, 13, 14))

    def test_a_lost_write(self):
        self.bad(w(1, 0, 1), w(2, 2, 3), r(1, 4, 5), r(1, 6, 7))

    def test_a_write_that_happens_twice(self):
        self.bad(w(1, 0, 20), r(1, 1, 2), w(2, 3, 4), r(2, 5, 6), r(1, 7, 8))

    def test_a_value_from_nowhere_and_from_the_future(self):
        self.bad(r(7, 0, 1))
        self.bad(r(1, 0, 1), w(1, 2, 3))

    def test_a_write_of_unknown_outcome_may_never_happen(self):
        self.good(w(1, 0, 1), w(2, 2), r(1, 3, 4), r(1, 100, 101))

    def test_or_much_later(self):
        self.good(w(1, 0, 1), w(2, 2), r(1, 3, 4), r(2, 100, 101), r(2, 102, 103))

    def test_but_once_only(self):
        self.bad(w(1, 0, 1), w(2, 2), r(2, 3, 4), r(1, 5, 6))
        self.bad(w(1, 0, 1), w(2, 2), r(2, 3, 4), w(3, 5, 6), r(2, 7, 8))
        self.bad(w(2, 0), w(3, 1, 2), r(2, 3, 4), r(3, 5, 6))

    def test_and_not_before_it_was_asked(self):
        self.bad(w(1, 0, 1), r(2, 2, 3), w(2, 4))

    def test_a_read_without_an_answer_says_nothing(self):
        self.good(w(1, 0, 1), r(9, 2), r(1, 3, 4))

    def test_a_write_that_nobody_saw_between_two_reads_of_another_value(self):
        self.bad(w(1, 0, 1), r(1, 2, 3), w(2, 4, 5), r(1, 6, 7))
        self.good(w(1, 0, 1), r(1, 2, 3), w(2, 4, 7), r(1, 6, 8))

    def test_what_happens_at_one_moment_is_at_the_same_time(self):
        self.good(w(1, 0, 1), r(None, 1, 2))

    def test_a_value_may_be_written_once_only(self):
        with self.assertRaises(ValueError):
            violation([w(1, 0, 1), w(1, 2, 3)])
        with self.assertRaises(ValueError):
            violation([w(0, 0, 1)], initial=0)

    def test_it_says_which_operations_it_means(self):
        text = violation([w(1, 0, 1), w(2, 2, 3), Operation(READ, 1, 4, 5, "client 3")])
        self.assertIn("client 3", text)

    def test_it_agrees_with_trying_all_orders(self):
        chance = random.Random(20)
        found = {True: 0, False: 0}
        for _ in range(20_000):
            history = random_history(chance)
            fits = some_order_fits(history)
            self.assertEqual(violation(history) is None, fits, [str(op) for op in history])
            found[fits] += 1
        self.assertGreater(min(found.values()), 3_000, found)

    def test_long_histories_take_little_time(self):
        chance, history, now = random.Random(1), [], 0.0
        for number in range(50_000):
            history.append(w(number, now, now + 3 * chance.random()))
            history.append(r(number, now + 3, now + 4))
            now += 5
        self.assertIsNone(violation(history))
        history[60_003] = r(30_000, history[60_003].start, history[60_003].end)
        self.assertIsInstance(violation(history), str)


if __name__ == "__main__":
    unittest.main()
