INSERT INTO used (month, uid, user, recipe, what, amount) VALUES
    ('2024-03', 1000, 'ann', 'sort', 'slots CPU', 7200.0), ('2024-03', 1000, 'ann', 'sort', 'jobs', 2.0);
