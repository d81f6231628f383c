//! Turns what the outside world says into batches: host sampling, scraping, receivers, relabelling, quality checks, spill when the sink is down.
