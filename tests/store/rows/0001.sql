-- What a queue may hold: one of each kind. The files of later revisions add what came with them.
INSERT INTO environments (id, digest, variables) VALUES (1, 'd1', '{"PATH": "/bin"}');
INSERT INTO pools (name, slots, position, paused_by, paused_at) VALUES ('RAM', 2, 0, NULL, NULL), ('CPU', 4, 1, 'ann', 5.0);
INSERT INTO jobs (id, name, recipe, key, user, uid, priority, held_by, submitted_at, environment_id) VALUES
    (1, 'done', 'sort', 'block', 'ann', 1000, 0, NULL, 1.0, 1),
    (2, 'running', 'command', NULL, 'bob', 1001, 3, NULL, 2.0, 1),
    (7, 'held', 'command', NULL, 'ann', 1000, 0, 'bob', 3.0, 1);
INSERT INTO stages (id, job_id, position, name, argv, cwd, env, outputs, needs, time_limit, state, outcome, reason, ended_at,
                    line, stop_at, stop_by, stop_reason) VALUES
    (1, 1, 0, 'denoise', '["true"]', '/', '{}', '[]', '{"RAM": 1}', NULL, 'ended', 'succeeded', NULL, 3.0, NULL, NULL, NULL, NULL),
    (2, 1, 1, 'sort', '["false"]', '/', '{"A": "b"}', '["out"]', '{"CPU": 1}', 60.0, 'ended', 'failed', 'exit 1', 4.0, NULL, NULL, NULL, NULL),
    (3, 2, 0, 'run', '["sleep", "9"]', '/', '{}', '[]', '{"CPU": 1}', NULL, 'running', NULL, NULL, NULL, NULL, 4.0, 'ann', 'by ann'),
    (4, 2, 1, 'then', '["true"]', '/', '{}', '[]', '{"CPU": 1}', NULL, 'waiting', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (9, 7, 0, 'run', '["true"]', '/', '{}', '[]', '{"CPU": 1}', NULL, 'waiting', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO dependencies (stage_id, on_stage_id) VALUES (2, 1), (4, 3);
INSERT INTO attempts (id, stage_id, number, folder, boot_id, created_at, started_at, ended_at, outcome, reason, note, exit_code,
                      signal, peak_memory, cpu_time) VALUES
    (1, 1, 1, '1/denoise.1', 'boot', 1.0, 1.5, 3.0, 'succeeded', NULL, '64 channels', 0, NULL, 1000000, 1.5),
    (2, 2, 1, '1/sort.1', 'boot', 3.0, 3.5, 4.0, 'failed', 'exit 1', NULL, 1, NULL, NULL, NULL),
    (3, 3, 1, '2/run.1', 'boot', 3.0, 3.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO events (id, at, kind, job_id, stage_id, user, data) VALUES
    (1, 1.0, 'job.submitted', 1, NULL, 'ann', '{"name": "done"}'),
    (5, 4.0, 'stage.failed', 1, 2, NULL, '{"move": "c", "reason": "exit 1"}');
