UPDATE stages SET retry = '{"times": 3, "wait": 10.0, "codes": [1], "alone": true}', tries = 1, delays = 2 WHERE id = 3;
UPDATE stages SET retry = '{"times": 1, "wait": 0.0, "codes": [], "alone": false}', alone = 1 WHERE id = 4;
UPDATE attempts SET oom = 1 WHERE id = 2;
