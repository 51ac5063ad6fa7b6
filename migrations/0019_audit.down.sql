drop function change_is_audited();
drop table audit_anchors; drop table audit_chains; drop table audit_links; drop table audit_unsealed; drop table audit_logs;
drop function audit_append_only(); drop function audit_noted(); drop sequence audit_seq;
