UPDATE stages SET memory = 12000000000 WHERE id = 3;
UPDATE attempts SET bytes_read = 8000000000000, bytes_written = 4096 WHERE id = 1;
