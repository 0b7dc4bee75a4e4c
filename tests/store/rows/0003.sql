INSERT INTO pools (name, slots, position, configured) VALUES ('TPU', 4, 9, 3);
