INSERT INTO targets (id, uid, user, lab, kind, address, kinds, digest, log, added_at, due, sent_at, streak, failures, trouble) VALUES
    (1, 1000, 'ann', NULL, 'url', 'json://127.0.0.1:9/secret', '["failed"]', 60.0, 1, 1.0, 2.0, 1.5, 1, 1, 'no'),
    (2, 0, 'root', 'chat', 'command', '["true"]', '["disk"]', NULL, 0, 1.0, NULL, NULL, 0, 0, NULL);
INSERT INTO outbox (id, target_id, kind, at, job_id, stage_id, data, batch) VALUES (1, 1, 'failed', 4.0, 1, 2, '{}', 'b');
INSERT INTO marks (name, value) VALUES ('told', 5);
