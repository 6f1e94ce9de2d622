import random
from collections import Counter

from edge.policy.sketch import Sketch, Weighed


def test_as_long_as_there_is_room_weights_are_exact():
    sketch = Sketch(4)
    sketch.add({"a": 1, "b": 5})
    sketch.add({"a": 1, "c": 3})
    assert sketch.heaviest(2) == [Weighed("b", 5, 0), Weighed("c", 3, 0)]
    assert sketch.heaviest(9)[-1] == Weighed("a", 2, 0)


def test_what_comes_after_the_first_was_let_go_may_be_too_high():
    sketch = Sketch(1)
    sketch.add({"a": 9, "b": 4, "c": 2, "d": 1, "e": 1})
    sketch.add({"b": 1})
    assert sketch.heaviest(9) == [Weighed("a", 9, 0), Weighed("b", 5, 4)]
    sketch.add({"c": 30, "d": 1, "e": 1})
    assert sketch.heaviest(9) == [Weighed("c", 34, 4)]


def test_of_many_names_the_heavy_ones_are_found_and_no_weight_is_too_low():
    chance = random.Random(7)
    sketch, true = Sketch(100), Counter()
    for _ in range(200):
        batch = Counter(int(chance.paretovariate(0.8)) for _ in range(200))
        true += batch
        sketch.add(batch)
    found = sketch.heaviest(100)
    assert [weighed.name for weighed in found[:10]] == [name for name, _ in true.most_common(10)]
    assert all(weighed.weight - weighed.excess <= true[weighed.name] <= weighed.weight for weighed in found)
    assert len(sketch.heaviest(10_000)) <= 400
