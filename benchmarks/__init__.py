"""Speed and quality measurements, run by hand; nothing here is timed in the tests."""
