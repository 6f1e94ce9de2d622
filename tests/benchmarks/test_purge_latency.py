"""What the table of purge latencies says."""

from benchmarks.purge_latency import share, table


def test_the_share_is_of_those_in_order():
    times = [float(number) for number in range(100)]
    assert (share(times, 0.5), share(times, 0.99), share([1.0], 0.99)) == (50.0, 99.0, 1.0)


def test_the_table_compares_the_most_objects_with_the_fewest():
    told = table([10, 1000], [{"url": [1.0, 2.0]}, {"url": [3.0, 5.0]}])
    assert told.splitlines()[-1] == "| url | 2.00 ms, 2.00 ms, 2.00 ms | 5.00 ms, 5.00 ms, 5.00 ms | 2.50x |"
    assert "| purge | 10 objects: p50, p99, most | 1,000 objects" in told
