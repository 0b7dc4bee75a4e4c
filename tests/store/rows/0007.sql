UPDATE jobs SET limits = '[[1024, -1]]' WHERE id = 2;
