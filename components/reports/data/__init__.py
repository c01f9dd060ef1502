"""What reports show of data: statistics, schemas, anomalies."""
