create index audit_logs_of_actor on audit_logs (actor_user_id, at, seq);
drop index audit_logs_of_actor_with_action;
drop index audit_logs_of_action;
drop index audit_logs_acted_for;
