UPDATE stages SET up_to = '{"CPU": 4}' WHERE id = 2;
UPDATE attempts SET slots = '{"CPU": 3}' WHERE id = 2;
