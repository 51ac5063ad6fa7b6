-- What others did for one, and what was done of one kind, are found without everybody's entries.
create index audit_logs_acted_for on audit_logs (on_behalf_of, at, seq) where on_behalf_of is not null;
create index audit_logs_of_action on audit_logs (action, organization_id, at, seq);
-- In the order of time, and one kind of action is told apart in the index.
create index audit_logs_of_actor_with_action on audit_logs (actor_user_id, at, seq, action);
drop index audit_logs_of_actor;
