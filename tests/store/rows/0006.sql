UPDATE jobs SET ended_at = 4.0, outcome = 'failed' WHERE id = 1;
