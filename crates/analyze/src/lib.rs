//! Turns series into findings: anomalies, change points, trends, cycles, correlations and causes, forecasts, capacity.
