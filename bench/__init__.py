"""What a change costs, beside what people do it with today. Room: bench/ measures and shows ratios; it asserts nothing about time."""
